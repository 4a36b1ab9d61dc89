"""The page of what was found: a row for each server, and the smallest script of all seeds."""

from __future__ import annotations

from pathlib import Path

from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.hunt import Found, Result
from snowowl.testing.fuzzing.script import Script, Send
from tests.fuzzing.peers import notes_in
from tests.fuzzing.results import Row, text_of

CRASH = Finding(Oracle.CRASH, "died", "exit status 1", "ValueError")


def found(octets: bytes, at_script: int, confirmed: int = 3) -> Found:
    script = Script((Send("A", octets),))
    return Found(
        finding=CRASH, script=script, confirmed=confirmed, at_script=at_script, after_seconds=1.5
    )


def test_the_page() -> None:
    first = Result(1, scripts=10, datagrams=20, seconds=3.0, found=[found(b"longer", 4)])
    second = Result(2, scripts=30, datagrams=50, seconds=5.0, found=[found(b"\xff", 9)])
    third = Result(3, scripts=2, datagrams=2, seconds=1.0, found=[found(b"", 1, confirmed=0)])
    rows = [Row("served", "1.0", [first, second, third]), Row("sound", "", problems=["seed 1: no"])]
    text = text_of(rows, lambda server, each: f"{server} {each.finding.rule}", 60)
    assert "| served 1.0 | 42 | 72 | 9 | 0 | 1 crash |" in text
    assert "| sound | 0 | 0 | 0 | 0 | none; seed 1: no |" in text
    assert '    A send b"\\xff"' in text
    assert "longer" not in text
    assert "seed 1 after 4 scripts, 2 s; seed 2 after 9 scripts, 2 s" in text
    assert "*Note:* served died" in text
    assert "## sound" not in text


def test_the_notes_can_be_read() -> None:
    notes = notes_in(Path(__file__).with_name("NOTES.toml"))
    assert notes.of("nobody", found(b"", 1)) == ""
    assert all(note for each in notes.texts.values() for note in each.values())
