"""Clients that are wrong in one thing are told so; the same client without it is not."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl.testing.faults import Verdict
from tests.faults.naive import Mistake, judge

MISBEHAVED, NON_STRICT = Verdict.MISBEHAVED, Verdict.NON_STRICT

READERS = [
    ("stray-data", Mistake.ANY_PORT, MISBEHAVED, "took another port for the server"),
    ("stray-ack", Mistake.HANGS_UP, Verdict.RECOVERED, ""),
    ("two-answers", Mistake.ANY_PORT, MISBEHAVED, "took another port for the server"),
    ("tid-change", Mistake.ANY_PORT, MISBEHAVED, "took another port for the server"),
    ("error", Mistake.IGNORES_ERRORS, MISBEHAVED, "went on after ERROR 0"),
    ("error:code=2", Mistake.ANSWERS_ERRORS, NON_STRICT, "answered ERROR 2 by an ERROR"),
    ("double-error", Mistake.ANSWERS_ERRORS, NON_STRICT, "answered ERROR 0 by an ERROR"),
    ("lost-data", Mistake.HANGS_UP, Verdict.RECOVERED, ""),
    ("delayed:seconds=5", Mistake.NO_RETRIES, MISBEHAVED, "could have completed"),
    ("slow-start:seconds=5", Mistake.NO_RETRIES, MISBEHAVED, "could have completed"),
    ("silence", Mistake.FOR_EVER, NON_STRICT, "did not give up"),
    ("long-data", Mistake.ANY_LENGTH, NON_STRICT, "longer than blksize"),
    ("wrong-block", Mistake.ANY_NUMBER, MISBEHAVED, "acknowledged block 3"),
    ("wrong-block:number=far", Mistake.ANY_NUMBER, MISBEHAVED, "acknowledged block 1002"),
    ("wrong-block", Mistake.HANGS_UP, MISBEHAVED, "aborted with ERROR 0 (what is this)"),
    ("slow", Mistake.THREE_ACKS, MISBEHAVED, "multiplied its ACKs"),
    ("short-data", Mistake.NO_SHORT_END, MISBEHAVED, "acknowledged block 3"),
    ("extra-data", Mistake.NO_SHORT_END, MISBEHAVED, "acknowledged block 10"),
    ("lost-data", Mistake.LISTENING_PORT, MISBEHAVED, "to the listening port"),
    ("oack-to-none", Mistake.HANGS_UP, Verdict.ENDED, "aborted with ERROR 0"),
]


@pytest.mark.parametrize(("fault", "mistake", "verdict", "why"), READERS)
async def test_a_reader(
    autojump_clock: MockClock, fault: str, mistake: Mistake, verdict: Verdict, why: str
) -> None:
    judged = await judge(fault, mistake)
    if verdict is Verdict.RECOVERED:  # a mistake that this fault does not bring about
        assert judged.verdict is not Verdict.NOT_REACHED
        return
    assert judged.verdict is verdict, judged.why
    assert why in judged.why


@pytest.mark.parametrize("fault", sorted({reader[0] for reader in READERS}))
async def test_a_reader_without_mistakes(autojump_clock: MockClock, fault: str) -> None:
    judged = await judge(fault, Mistake.NONE)
    assert judged.verdict in (Verdict.RECOVERED, Verdict.ENDED, Verdict.INFORMATIONAL), judged.why


@pytest.mark.parametrize("value", ["7", "0", "65465", "abc"])
async def test_a_reader_that_accepts_any_option(autojump_clock: MockClock, value: str) -> None:
    fault, options = f"oack-value:value={value}", (("blksize", 512),)
    judged = await judge(fault, Mistake.READS_OACKS, options=options)
    assert judged.verdict is NON_STRICT, judged.why
    assert "nobody can live by" in judged.why


async def test_a_reader_that_accepts_what_it_did_not_ask_for(autojump_clock: MockClock) -> None:
    judged = await judge("oack-unasked", Mistake.READS_OACKS, options=(("blksize", 512),))
    assert (judged.verdict, judged.why) == (NON_STRICT, "accepted it, and completed")


WRITERS = [
    ("double-ack", Mistake.APPRENTICE, MISBEHAVED, "Sorcerer's Apprentice"),
    ("double-all", Mistake.APPRENTICE, MISBEHAVED, "Sorcerer's Apprentice"),
    ("stray-ack", Mistake.ANY_PORT, MISBEHAVED, "took another port for the server"),
    ("wrong-block", Mistake.ANY_NUMBER, MISBEHAVED, "sent DATA 4 when block 1"),
    ("lost-ack:times=2", Mistake.OTHER_OCTETS, MISBEHAVED, "other octets in DATA"),
    ("delayed:seconds=5", Mistake.NO_RETRIES, MISBEHAVED, "could have completed"),
    ("disk-full", Mistake.IGNORES_ERRORS, MISBEHAVED, "went on after ERROR 3"),
    ("silence", Mistake.FOR_EVER, NON_STRICT, "did not give up"),
    ("lost-final-ack:times=0", Mistake.NONE, Verdict.ENDED, "fell silent"),
]


@pytest.mark.parametrize(("fault", "mistake", "verdict", "why"), WRITERS)
async def test_a_writer(
    autojump_clock: MockClock, fault: str, mistake: Mistake, verdict: Verdict, why: str
) -> None:
    judged = await judge(fault, mistake, writes=True)
    assert judged.verdict is verdict, judged.why
    assert why in judged.why


@pytest.mark.parametrize("fault", sorted({writer[0] for writer in WRITERS}))
async def test_a_writer_without_mistakes(autojump_clock: MockClock, fault: str) -> None:
    judged = await judge(fault, Mistake.NONE, writes=True)
    assert judged.verdict in (Verdict.RECOVERED, Verdict.ENDED), judged.why


async def test_growth_is_measured(autojump_clock: MockClock) -> None:
    calm = await judge("double-all", Mistake.NONE, writes=True)
    apprentice = await judge("double-all", Mistake.APPRENTICE, writes=True)
    assert calm.growth == 1.0
    assert apprentice.growth > 1.5
    assert "growth" in " ".join(apprentice.did)
