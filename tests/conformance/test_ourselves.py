"""The suite against the real server on a simulated network: every case, in every `tid` mode."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl.testing.conformance import Target, Verdict, all_cases, choose, run_suite
from tests.server.world import LISTENING, Tid, World


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_every_case(world: World, clock: MockClock, tid: Tid) -> None:
    world.file("file", b"".join(b"%07d\n" % number for number in range(2560)))
    async with world.serving(world.config(tid, overwrite=True)):
        report = await run_suite(
            world.network,
            Target(address=LISTENING, read=b"file", write=b"up-{}"),
            choose(all_cases()),
        )
    for result in report.ordered:
        if result.verdict is not Verdict.OK or result.said:
            print(result.case.id, result.verdict.value, result.ran, result.said, result.first_said)
    print(report.profile.as_dict())
    assert report.passed(strict=True)
