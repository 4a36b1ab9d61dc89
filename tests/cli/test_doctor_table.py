"""What doctor shows: a line for each finding, counted at the end, and nothing that steers a terminal."""

from __future__ import annotations

import io
import re
from unittest.mock import patch

import pytest

from snowowl.cli.doctor_checks.finding import Finding, Level, fail, note, ok, warn
from snowowl.cli.doctor_table import line, show, summary

FOUND = [ok("a", "well"), note("b", "so"), warn("c", "mind", "do this"), fail("d", "no", "do that")]


def test_lines() -> None:
    assert [line(finding) for finding in FOUND] == [
        "OK   a: well",
        "NOTE b: so",
        "WARN c: mind -> do this",
        "FAIL d: no -> do that",
    ]
    assert line(ok("a", "\x1b[31m\n")) == r"OK   a: \u001B[31m\n"


def test_the_last_line_counts() -> None:
    assert summary(FOUND) == "1 thing to be mended, 1 warning, 1 note, 1 OK."
    assert summary(FOUND[:1] * 2) == "Ready to serve: 0 warnings, 0 notes, 2 OK."


def test_piped(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(iter(FOUND)) == FOUND
    out = capsys.readouterr().out
    assert out.splitlines() == [*map(line, FOUND), summary(FOUND)]


def test_on_a_terminal_of_80_columns() -> None:
    from rich.console import Console

    terminal = Console(force_terminal=True, width=80, file=io.StringIO(), color_system=None)
    long = Finding(Level.FAIL, "configuration", "word " * 40, "advice \x1b[2J " * 10)
    with patch("rich.console.Console", return_value=terminal):
        show([*FOUND, long])
    assert isinstance(terminal.file, io.StringIO)
    lines = terminal.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.match(r"WARN +c +mind", line) for line in lines)
    assert "\x1b" not in terminal.file.getvalue()
