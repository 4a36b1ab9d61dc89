"""The suite against the real server on a simulated network: every case, in every `tid` mode."""

from __future__ import annotations

import socket
from typing import Final

import pytest
from trio.testing import MockClock

from snowowl.config import ProtocolConfig
from snowowl.testing.conformance import (
    Report,
    Settings,
    Target,
    Verdict,
    all_cases,
    choose,
    run_suite,
)
from snowowl.testing.simnetwork import socket_address
from tests.server.world import LISTENING, SERVER_V6, Tid, World

CONTENT: Final = b"".join(
    b"%06d%s" % (line, (b"\n", b"\r\n", b"\rx\n")[line % 3]) for line in range(1200)
)

OPEN: Final[dict[Tid, set[str]]] = {
    "shared": set(),
    "own": set(),
    "listen": {"1350-4-new-tid", "1350-4-random-tid", "1350-4-wrong-tid-error"},
}
"""What is INFORMATIONAL: answers come from the listening port, where a stray packet has no owner."""

NOT_FOR_THIS_FILE: Final = {
    "1350-6-empty-last-block",  # no multiple of 512
    "2348-short-file",  # larger than a block that fits in the MTU
}


def informational(report: Report) -> set[str]:
    return {result.case.id for result in report.ordered if result.verdict is Verdict.INFORMATIONAL}


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_every_case_is_ok(world: World, clock: MockClock, tid: Tid) -> None:
    world.file("file", CONTENT)
    told: list[str] = []
    async with world.serving(world.config(tid, overwrite=True)):
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file", write=b"up-{}"),
            choose(all_cases()),
            tell=lambda case_id, result: told.append(case_id) if result is not None else None,
        )
    assert report.passed(strict=True), [(r.case.id, r.said) for r in report.findings(strict=True)]
    assert informational(report) == OPEN[tid] | NOT_FOR_THIS_FILE
    assert sorted(told) == sorted(case.id for case in report.cases)
    assert not any(result.first_said for result in report.ordered)
    assert report.profile.content == CONTENT
    assert report.profile.single_port is (tid == "listen")
    assert set(report.profile.granted) == {"blksize", "timeout", "tsize", "windowsize", "rollover"}


async def test_a_file_of_whole_blocks_and_one_that_fits_in_a_block(
    world: World, clock: MockClock
) -> None:
    world.file("whole", CONTENT[:1024])
    async with world.serving():
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"whole"),
            choose(all_cases(), only=sorted(NOT_FOR_THIS_FILE)),
        )
    assert report.passed(strict=True)
    assert not informational(report)


async def test_an_empty_file_and_no_writing_leave_something_to_run(
    world: World, clock: MockClock
) -> None:
    world.file("empty", b"")
    async with world.serving():
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"empty"),
            choose(all_cases(), skip=["robust-*", "security-*"]),
        )
    assert report.passed(strict=True), [(r.case.id, r.said) for r in report.findings(strict=True)]
    assert report.not_run
    assert report.count(Verdict.OK) > 50


async def test_a_server_that_grants_nothing_is_judged_by_the_rest(
    world: World, clock: MockClock
) -> None:
    world.file("file", CONTENT)
    protocol = ProtocolConfig(
        refuse_options=("blksize", "timeout", "tsize", "windowsize", "rollover")
    )
    async with world.serving(world.config(protocol=protocol)):
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file"),
            choose(all_cases(), only=["234*", "7440-*", "practice-*"]),
        )
    assert [result.case.id for result in report.findings(strict=True)] == ["2349-tsize-told"]
    assert not report.profile.granted


async def test_one_name_to_write_and_no_overwriting(world: World, clock: MockClock) -> None:
    world.file("file", CONTENT)
    async with world.serving():  # what is there is not overwritten
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file", write=b"only"),
            choose(all_cases(), only=["1350-4-write", "1350-6-dally"]),
        )
    assert [result.ran for result in report.ordered] == [False, False]
    assert "put {} into --write" in report.ordered[0].said
    assert report.written == [b"only"]


async def test_one_name_that_is_written_again_and_again(world: World, clock: MockClock) -> None:
    world.file("file", CONTENT)
    async with world.serving(world.config(overwrite=True)):
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file", write=b"only"),
            choose(all_cases(), only=["*write*"], skip=["security-*"]),
            Settings(jobs=8),
        )
    assert report.passed(strict=True), [(r.case.id, r.said) for r in report.findings(strict=True)]
    assert {result.case.id for result in report.ordered if not result.ran} == {
        "1350-7-write-partial"
    }
    assert report.written == [b"only"]


async def test_over_ipv6(world: World, clock: MockClock) -> None:
    world.file("file", CONTENT)
    async with world.serving():
        report = await run_suite(
            world.network,
            Target(address=socket_address(SERVER_V6, 69), read=b"file"),
            choose(all_cases(), only=["1350-*", "2347-*", "7440-window"]),
        )
    assert report.passed(strict=True)
    assert socket.has_ipv6


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_what_takes_long_is_ok(world: World, clock: MockClock) -> None:
    world.file("file", b"%07d\n" * 66_000 % tuple(range(66_000)))
    async with world.serving(world.config(overwrite=True)):
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file", write=b"up-{}"),
            [case for case in all_cases() if case.long],
        )
    assert report.passed(strict=True), [(r.case.id, r.said) for r in report.findings(strict=True)]
    assert not informational(report)
