"""The suite can bite: servers that are wrong in one way, each seen by just the cases that should."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import trio
from trio.testing import MockClock

from snowowl.testing.conformance import (
    Report,
    Settings,
    Target,
    Verdict,
    all_cases,
    choose,
    run_suite,
)
from snowowl.testing.link import Link
from snowowl.testing.simnetwork import SimNetwork
from tests.conformance.faulty import FAULTS, DiedError, NoEmptyLastBlock
from tests.conformance.naive import Naive
from tests.server.world import LISTENING

CONTENT = b"".join(b"%06d%s" % (line, (b"\n", b"\r\n", b"\rx\n")[line % 3]) for line in range(1200))
MULTIPLE = CONTENT[: 18 * 512]

OPEN = frozenset({"practice-error-5-survives"})
"""What the server without a fault leaves open, as it may."""

ALWAYS = ["1350-2-read", "2347-none-without", "1350-4-write"]
"""Cases that see none of these faults, beside those that must."""


async def judge(
    server: type[Naive], only: Collection[str] = (), content: bytes = CONTENT
) -> Report:
    """Run the suite against a server; it may die."""
    network = SimNetwork(link=Link(mtu=65535))

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        try:
            await server(network, {b"file": content}).run(task_status)
        except* DiedError:
            pass

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        target = Target(address=LISTENING, read=b"file", write=b"up-{}")
        settings = Settings(again=not only)
        report = await run_suite(network, target, choose(all_cases(), only=sorted(only)), settings)
        nursery.cancel_scope.cancel()
    return report


def seen(report: Report) -> set[str]:
    """Return the cases that have something to say against a server, or of it."""
    return {
        result.case.id
        for result in report.ordered
        if result.ran and result.verdict is not Verdict.OK
    }


async def test_nothing_is_said_against_a_server_without_a_fault(autojump_clock: MockClock) -> None:
    report = await judge(Naive)
    assert seen(report) == OPEN, [
        (result.case.id, result.said, *map(str, result.evidence))
        for result in report.ordered
        if result.case.id in seen(report) - OPEN
    ]
    assert report.passed(strict=True)


async def test_a_file_that_has_no_end_is_judged_all_the_same(autojump_clock: MockClock) -> None:
    """The suite learns the file by a plain read, which such a server cannot end."""
    cases = {"1350-6-empty-last-block", "2348-exact-multiple", "1350-2-read"}
    report = await judge(NoEmptyLastBlock, cases, MULTIPLE)
    assert {result.case.id for result in report.findings()} == cases


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_seen(autojump_clock: MockClock, name: str) -> None:
    cases = FAULTS[name].cases
    report = await judge(FAULTS[name].server, {*cases, *ALWAYS})
    assert seen(report) == cases, {r.case.id: r.said for r in report.ordered if r.said}
    if name.startswith("Dies"):
        assert report.died_in == tuple(cases)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_seen_by_nobody_else(autojump_clock: MockClock, name: str) -> None:
    fault = FAULTS[name]
    report = await judge(fault.server)
    assert seen(report) - OPEN == fault.cases | fault.also, {
        r.case.id: r.said for r in report.ordered if r.said
    }
