"""Options that are numbers: what is none ends a command at once, whatever the command."""

from __future__ import annotations

import pytest

from snowowl.cli import main

URL = "tftp://127.0.0.1:9"


@pytest.mark.parametrize(
    "words",
    [
        ("conformance", URL, "--read", "x", "--timeout"),
        ("conformance", URL, "--read", "x", "--limit"),
        ("fuzz", URL, "--timeout"),
        ("fuzz", URL, "--wait"),
        ("fuzz", URL, "--seconds"),
        ("fuzz", URL, "--shrink"),
        ("fuzz", URL, "--rate"),
        ("faults", "--silence"),
        ("bench", f"{URL}/x", "--duration"),
        ("bench", f"{URL}/x", "--loss"),
    ],
    ids=lambda words: f"{words[0]}{words[-1]}",
)
def test_nan_is_no_number(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--wait nan` never came to an end."""
    with pytest.raises(SystemExit) as caught:
        main.main([*words, "nan"], prog_name="snowowl")
    assert caught.value.code == 2
    assert "nan is no number" in capsys.readouterr().err
