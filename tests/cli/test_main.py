"""What all commands have in common: an interrupt is no result, and no text ends a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from snowowl.cli import conformance, fuzz, main
from tests.cli.program import ENVIRONMENT, SECONDS, command, run

URL = "tftp://127.0.0.1:9"


@pytest.mark.parametrize("error", [KeyboardInterrupt, EOFError])
def test_who_is_interrupted_early_has_found_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status was 1 then, which means findings."""

    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(conformance, "_place", interrupted)
    monkeypatch.setattr(fuzz, "_url", interrupted)
    for words, status in ((["conformance", URL, "--read", "x"], 130), (["fuzz", URL], 2)):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == status
        assert result.output == "snowowl: interrupted\n"


@pytest.mark.real
@pytest.mark.parametrize("name", ["conformance", "faults"])
def test_a_stdout_that_is_full(name: str) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            command(name, "--list"),
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=SECONDS,
            check=False,
        )
    assert result.returncode == 3
    assert result.stderr == b"snowowl: cannot write to stdout: No space left on device\n"


@pytest.mark.real
def test_a_terminal_that_knows_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ellipsis at the end of a line was the end of the program."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "40"}
    for name, value in ascii_only.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    result = run("conformance", "--list")
    assert result.returncode == 0, result.stderr
    assert b"\\u2026" in result.stdout
