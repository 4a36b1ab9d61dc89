"""Servers that would fill the memory of who tries them: the suite stops, and says so."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from snowowl.datagram.interface import Packet
from snowowl.testing.conformance import (
    CannotRunError,
    Report,
    Settings,
    Target,
    Verdict,
    all_cases,
    choose,
    run_suite,
)
from snowowl.testing.conformance import client as suite_client
from snowowl.testing.conformance import learn as suite_learn
from snowowl.testing.conformance.packets import data
from snowowl.testing.link import Link
from snowowl.testing.simnetwork import SimNetwork
from tests.conformance.naive import Line, Naive, Terms
from tests.server.world import LISTENING

CONTENT = bytes(3000)
KIB = 1 << 10


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let little be much, so that the tests are quick."""
    monkeypatch.setattr(suite_client, "READ_MAX", 32 * KIB)
    monkeypatch.setattr(suite_client, "HEARD_MAX", 256 * KIB)
    monkeypatch.setattr(suite_learn, "SIZE_MAX", 16 * KIB)


class Endless(Naive):
    """After so many files, files have no end."""

    good_reads = 0

    def __init__(self, network: SimNetwork, files: dict[bytes, bytes]) -> None:
        super().__init__(network, files)
        self.reads = 0
        self.blocks_sent = 0

    async def read(self, line: Line, content: bytes, terms: Terms) -> None:
        self.reads += 1
        await super().read(line, bytes(2 << 20) if self.is_hostile() else content, terms)

    def is_hostile(self) -> bool:
        return self.reads > self.good_reads

    def data(self, block: int, payload: bytes) -> bytes:
        self.blocks_sent += 1
        return super().data(block, payload)


class EndlessLater(Endless):
    good_reads = 30


class Flood(Endless):
    """After so many files, it says the same for ever, and never listens."""

    good_reads = 30

    async def read(self, line: Line, content: bytes, terms: Terms) -> None:
        self.reads += 1
        while self.is_hostile():
            packet = Packet(line.peer, data(1, content[:512]))
            line.endpoint.send([packet] * 100)
            self.blocks_sent += 100
            await trio.sleep(0.01)
        await Naive.read(self, line, content, terms)


async def judge(server_class: type[Endless], *only: str) -> tuple[Report, Endless]:
    """Run cases against a server; those alone, once it is hostile."""
    network = SimNetwork(link=Link(mtu=65535))
    server = server_class(network, {b"file": CONTENT})
    target = Target(address=LISTENING, read=b"file")
    report: Report | None = None
    failure: CannotRunError | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        try:
            report = await run_suite(
                network,
                target,
                choose(all_cases(), only=only),
                Settings(again=False),
                tell=lambda *_: setattr(server, "reads", server.good_reads),
            )
        except CannotRunError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if report is None:
        assert failure is not None
        raise failure
    return report, server


async def test_a_file_without_end_is_no_file_to_try_it_with(autojump_clock: MockClock) -> None:
    """It was read until the run was over, at some ten megabytes of memory a second."""
    with pytest.raises(CannotRunError, match=r"has more than 16384 octets: name a smaller one"):
        await judge(Endless)


async def test_a_file_without_end_is_a_finding(autojump_clock: MockClock) -> None:
    report, server = await judge(EndlessLater, "1350-2-read")
    (result,) = report.ordered
    assert result.verdict is Verdict.FAILED
    assert result.said == "does not end the file: more than 32768 octets came"
    assert server.blocks_sent < 200


async def test_a_flood_is_a_finding(autojump_clock: MockClock) -> None:
    report, server = await judge(Flood, "1350-6-last-block-again")
    (result,) = report.ordered
    assert result.verdict is Verdict.FAILED
    assert "floods" in result.said
    assert server.blocks_sent < 2000
