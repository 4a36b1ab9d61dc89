"""From what came of a fetch to a status, a sentence and advice, on one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.cli.check_verdict import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    Expectations,
    failed,
    late,
    line,
    succeeded,
    unknown,
)
from snowowl.client import ClientError
from snowowl.client.errors import Reason
from snowowl.client.probe import Probe

SERVER = "192.0.2.1:69"
PLAIN = Expectations(timeout=5.0)
LINE = re.compile(
    r"TFTP (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+"
    r"( \| time=\d+\.\d+s;[\d.e-]*;[\d.e-]*;0;[\d.e-]+ size=\d+B;;;0)?"
)
"""What monitoring reads: a service line with performance data of the plugins' guidelines."""


def probe(octets: int = 5000, seconds: float = 0.042, *, whole: bool = True) -> Probe:
    return Probe(octets=octets, announced=9000, whole=whole, sha256="ab" * 32, seconds=seconds)


def expecting(**values: object) -> Expectations:
    return Expectations(timeout=5.0, **values)  # type: ignore[arg-type]


def test_the_line_of_a_good_one() -> None:
    verdict = succeeded(probe(), expecting(warning=1.0, critical=2.5))
    assert line(verdict, b"vmlinuz", expecting(warning=1.0, critical=2.5)) == (
        "TFTP OK - vmlinuz, 4.9 KiB in 0.042 s | time=0.042000s;1;2.5;0;5 size=5000B;;;0"
    )


@pytest.mark.parametrize(
    ("expected", "status"),
    [
        (expecting(warning=0.042), OK),  # not more than it
        (expecting(warning=0.041), WARNING),
        (expecting(warning=0.01, critical=0.041), CRITICAL),
        (expecting(critical=0.1, warning=0.2), OK),
        (expecting(size=5000), OK),
        (expecting(size=5001), CRITICAL),
        (expecting(sha256="ab" * 32), OK),
        (expecting(sha256="00" * 32), CRITICAL),
        (expecting(missing=True), CRITICAL),
    ],
)
def test_what_was_expected_decides(expected: Expectations, status: int) -> None:
    verdict = succeeded(probe(), expected)
    assert verdict.status == status
    assert bool(verdict.advice) == (status != OK)


def test_a_part_is_compared_by_what_was_announced() -> None:
    part = probe(whole=False)
    assert "the first 4.9 KiB of 8.8 KiB" in succeeded(part, PLAIN).message
    assert succeeded(part, expecting(size=9000)).status == OK
    assert succeeded(part, expecting(size=5000)).status == CRITICAL
    part.announced = None
    assert "announces none" in succeeded(part, expecting(size=5000)).message


@pytest.mark.parametrize(
    ("reason", "code", "status", "words"),
    [
        (Reason.RESOLVE, None, UNKNOWN, "by its address"),
        (Reason.LOCAL_WRITE, None, UNKNOWN, ""),
        (Reason.CONNECT, None, CRITICAL, "start the server"),
        (Reason.TIMEOUT, None, CRITICAL, "--single-port"),
        (Reason.PROTOCOL, 4, CRITICAL, "--no-options"),
        (Reason.SERVER, 1, CRITICAL, "beneath the served folder"),
        (Reason.SERVER, 2, CRITICAL, "let the server's user read"),
        (Reason.SERVER, 77, CRITICAL, "log"),
    ],
)
def test_each_failure_has_advice(reason: Reason, code: int | None, status: int, words: str) -> None:
    verdict = failed(ClientError(reason, "said", code), SERVER, probe(0), PLAIN)
    assert verdict.status == status
    assert words in verdict.advice
    assert line(verdict, b"x", PLAIN).startswith(f"TFTP {('OK', 'W', 'CRIT', 'UNK')[status]}")


def test_a_file_that_is_to_be_missing() -> None:
    missing = expecting(missing=True)
    for code, status in ((1, OK), (2, CRITICAL), (0, CRITICAL)):
        error = ClientError(Reason.SERVER, "said", code)
        assert failed(error, SERVER, probe(0), missing).status == status
    slow = expecting(missing=True, warning=0.01)
    assert failed(ClientError(Reason.SERVER, "", 1), SERVER, probe(0), slow).status == WARNING


def test_too_late_with_and_without_octets() -> None:
    verdict = late(SERVER, probe(0), PLAIN)
    assert verdict.message == "no answer from 192.0.2.1:69 in 5 s"
    assert "port 69 open" in verdict.advice
    verdict = late(SERVER, probe(), PLAIN)
    assert verdict.message == "only 4.9 KiB of 8.8 KiB came in 5 s"
    assert "--max-octets" in verdict.advice


@given(said=st.text(max_size=400), name=st.binary(max_size=50), code=st.integers(0, 8))
def test_nothing_that_a_server_says_breaks_the_line(said: str, name: bytes, code: int) -> None:
    for verdict in (
        failed(ClientError(Reason.SERVER, said, code), SERVER, probe(0), PLAIN),
        unknown(said, "advice"),
        succeeded(probe(), PLAIN),
    ):
        text = line(verdict, name, PLAIN)
        assert LINE.fullmatch(text), text
        assert text.isprintable()


def test_the_document() -> None:
    found = Probe(octets=5, seconds=0.25, granted=((b"blksize", b"512"),), retransmitted=1)
    document = failed(ClientError(Reason.CONNECT, "closed"), SERVER, found, PLAIN).document()
    assert document == {
        "status": "CRITICAL",
        "exit_status": 2,
        "message": "closed",
        "advice": "start the server, or name its port as in tftp://HOST:PORT/FILE",
        "seconds": 0.25,
        "octets": 5,
        "whole": False,
        "announced": None,
        "sha256": None,
        "options": {"blksize": "512"},
        "retransmitted": 1,
    }
