"""Scripts as text: whatever can be played can be written and read, and what cannot is said by line."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.generate import World, scripts
from snowowl.testing.fuzzing.literal import quoted, read
from snowowl.testing.fuzzing.replay import Record, ReplayError, dumps, loads
from snowowl.testing.fuzzing.script import (
    DATAGRAM_MAX,
    Answer,
    Close,
    Follow,
    Script,
    Send,
    Wait,
    made_harmless,
)

HEAD = "snowowl-fuzz 1\n"
WORLD = World(read=b"boot/file", write=b"up", secrets=(b"/etc/key",))


@given(st.one_of(st.binary(max_size=40), st.builds(lambda o, n: o * n, st.binary(), st.just(40))))
def test_octets_are_written_as_python_would(octets: bytes) -> None:
    text = quoted(octets)
    assert read(text, 65507) == (octets, "")
    assert eval(text) == octets  # only here: `read` runs nothing
    assert text.isascii()
    assert text.isprintable()
    if " * " not in text:
        assert ast.literal_eval(text) == octets


def test_long_runs_stay_short() -> None:
    assert quoted(b"\0\1" + b"a" * 60_000) == 'b"\\x00\\x01" + b"a" * 60000'
    assert quoted(b"\0a" * 20_000) == 'b"\\x00a" * 20000'
    assert quoted(b"") == 'b""'


@settings(max_examples=15)
@given(scripts(WORLD), st.sampled_from(Oracle), st.text(max_size=20), st.integers(1, 64))
def test_a_record_goes_round(script: Script, oracle: Oracle, words: str, repeats: int) -> None:
    shape = "".join(char for char in words if char.isprintable()).strip()
    record = Record(
        script=Script(script.steps, repeats),
        finding=Finding(oracle, "rule", words, shape),
        read_name=b"\xff name",
        write_name=b"up",
        notes=("a note\nof two lines",),
    )
    assert loads(dumps(record)) == record


def test_what_people_write_is_read() -> None:
    text = (
        f'\n# a comment\n{HEAD}\r\n\toracle crash\nread b"n"  # what exists\n'
        'A send b"\\0\\x01x" + b"\\n\\t\\\\\\"#" * 2 # octets\nB send good b""\n'
        "A follow 2 # twice\nA answer cut 3#\nA answer stranger\nwait .5\nC close # bye"
    )
    assert loads(text).script.steps == (
        Send("A", b'\0\1x\n\t\\"#\n\t\\"#'),
        Send("B", b"", "good"),
        Follow("A", 2),
        Answer("A", "cut", 3),
        Answer("A", "stranger"),
        Wait(0.5),
        Close("C"),
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("#!/bin/sh\necho\n", 2, "must begin with `snowowl-fuzz 1`"),
        ("snowowl-fuzz 2\n", 1, "version 2 is unknown"),
        ("snowowl-fuzz\n", 1, "version nothing"),
        (HEAD, 2, "no step"),
        (HEAD + "oracle doom\n", 2, "crash, hang"),
        (HEAD + "rule a\nrule b\n", 3, "second time"),
        (HEAD + "repeats 0\n", 2, "from 1 to 64"),
        (HEAD + "repeats 9999999999999\n", 2, "from 1 to 64"),
        (HEAD + 'read b""\n', 2, "not empty"),
        (HEAD + "A send\n", 2, "no destination"),
        (HEAD + "A send 'x'\n", 2, "no destination"),
        (HEAD + 'A send moon b"x"\n', 2, "listen, own, A, B, C, good"),
        (HEAD + "A send own x\n", 2, 'written as b"..."'),
        (HEAD + 'A send b"x" junk\n', 2, "junk does not belong"),
        (HEAD + 'A send b"\\q"\n', 2, "no escape"),
        (HEAD + 'A send b"\\x1"\n', 2, "no escape"),
        (HEAD + 'A send b"\u20ac"\n', 2, "no octet"),
        (HEAD + 'A send b"x" * 999999\n', 2, "more than 65507"),
        (HEAD + 'A send b"x" +\n', 2, "not as nothing"),
        (HEAD + "D close\n", 2, "neither a peer"),
        (HEAD + "A jump\n", 2, "not jump"),
        (HEAD + "A\n", 2, "not nothing"),
        (HEAD + "A follow many\n", 2, "no number"),
        (HEAD + "A follow -1\n", 2, "no number"),
        (HEAD + "A answer better\n", 2, "no damage"),
        (HEAD + "A answer cut 5000\n", 2, "from 0 to 4096"),
        (HEAD + "A answer stranger 5\n", 2, "does not belong"),
        (HEAD + "A close 5\n", 2, "does not belong"),
        (HEAD + "wait nan\n", 2, "no time"),
        (HEAD + "wait 61\n", 2, "no time"),
        (HEAD + "\x00\n", 2, "neither a peer"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ReplayError) as caught:
        loads(text)
    assert str(caught.value).startswith(f"line {line}: ")
    assert said in str(caught.value)


@given(st.one_of(st.text(), st.text().map(lambda text: HEAD + text)))
def test_reading_is_total(text: str) -> None:
    assert is_read_or_refused(text)


def is_read_or_refused(text: str) -> bool:
    try:
        loads(text)
    except ReplayError as error:
        return str(error).startswith("line ")
    return True


def test_a_damaged_script_is_read_or_refused() -> None:
    text = dumps(Record(script=Script((Send("A", b"\0\1a\0"), Wait(0.5), Answer("B", "flip", 9)))))
    for at in range(len(text)):
        for spice in ("", "\n", '"', "\\", "9", "#"):
            assert is_read_or_refused(text[:at] + spice + text[at + 1 :])


@pytest.mark.parametrize("head", [b"\0\2", b"\0\3", b""])
def test_no_script_has_more_octets_than_a_datagram(head: bytes) -> None:
    octets = head + bytes(65535)
    for name in (None, b"", octets[2:2]):
        assert len(made_harmless(octets, name)) <= DATAGRAM_MAX
