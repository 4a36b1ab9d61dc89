"""Polling pays for a lone quick client; it burns nothing where a server is idle, loaded or waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram.interface import Received
from snowowl.server.intake import Intake
from snowowl.server.polling import SKIPPED_MAX, TRANSFERS_MAX, Polling
from snowowl.server.tuning import Tuning
from snowowl.testing.simnetwork import SimNetwork
from tests.real.harness import Peer, Server, ack, data, rrq, serving
from tests.real.inside import configure
from tests.real.inside import serving as serving_inside

SECONDS: Final = 50e-6
ONE: Final = [Received(b"octets", 6, b"peer")]

needs_yield = pytest.mark.skipif(not hasattr(os, "sched_yield"), reason="no sched_yield here")


# When to poll.


def waits(polling: Polling, transfers: Sequence[int], *, finds: bool) -> int:
    """Return how many of these waits began with a poll."""
    polls = 0
    for count in transfers:
        if polling.pays(count):
            polls += 1
            if finds:
                polling.succeeded()
            else:
                polling.failed()
    return polls


@pytest.mark.parametrize("transfers", [1, TRANSFERS_MAX])
def test_where_a_client_is_quick_every_wait_begins_with_a_poll(transfers: int) -> None:
    assert waits(Polling(SECONDS), [transfers] * 1000, finds=True) == 1000


@pytest.mark.parametrize("transfers", [0, TRANSFERS_MAX + 1, 1000])
def test_idle_and_loaded_servers_do_not_poll(transfers: int) -> None:
    """With many transfers a batch is waiting anyway."""
    assert waits(Polling(SECONDS), [transfers] * 1000, finds=True) == 0


def test_it_can_be_switched_off() -> None:
    assert waits(Polling(0.0), [1] * 1000, finds=True) == 0


def test_what_is_in_vain_is_given_up() -> None:
    """After each failure twice as many waits pass without, up to a thousand."""
    polling = Polling(SECONDS)
    assert waits(polling, [1] * SKIPPED_MAX, finds=False) <= 10
    assert waits(polling, [1] * 100 * SKIPPED_MAX, finds=False) == pytest.approx(100, abs=2)


def test_one_success_makes_it_eager_again() -> None:
    polling = Polling(SECONDS)
    waits(polling, [1] * 10 * SKIPPED_MAX, finds=False)
    while not polling.pays(1):
        pass
    polling.succeeded()
    assert waits(polling, [1] * 1000, finds=True) == 1000
    polling.failed()
    assert not polling.pays(1)
    assert polling.pays(1)


def test_a_crowd_between_does_not_count_as_waits() -> None:
    polling = Polling(SECONDS)
    for _ in range(5):
        polling.failed()
    assert waits(polling, [TRANSFERS_MAX + 1] * 1000, finds=True) == 0
    assert not polling.pays(1)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=500))
def test_whatever_happens_a_failure_is_paid_for_by_waits_without(
    story: list[tuple[int, bool]],
) -> None:
    """So many polls in vain in a row take twice as many waits as the one before each."""
    polling = Polling(SECONDS)
    pause = passed = 0
    for transfers, finds in story:
        if polling.pays(transfers):
            assert passed >= pause
            passed = 0
            if finds:
                polling.succeeded()
                pause = 0
            else:
                polling.failed()
                pause = min(max(2 * (pause + 1), 2), SKIPPED_MAX) - 1
        elif 0 < transfers <= TRANSFERS_MAX:
            passed += 1
            assert passed <= pause


# How to poll.


class Script:
    """An endpoint and a CPU: batches appear after so many yields, and a yield takes a while."""

    def __init__(self, patch: pytest.MonkeyPatch, *, yields_needed: int, seconds: float) -> None:
        self.yields = self.looks = 0
        self.now = 0.0
        self.waiting: list[Received] = []
        self._yields_needed = yields_needed
        self._seconds = seconds
        patch.setattr("os.sched_yield", self._sched_yield, raising=False)
        patch.setattr("time.perf_counter", lambda: self.now)
        endpoint = SimNetwork().bind("192.0.2.1", 69)
        patch.setattr(endpoint, "receive", self._receive)
        self.intake = Intake(endpoint, Tuning(poll_seconds=SECONDS))

    def _sched_yield(self) -> None:
        self.yields += 1
        self.now += self._seconds
        if self.yields == self._yields_needed:
            self.waiting = ONE

    def _receive(self) -> Sequence[Received]:
        self.looks += 1
        batch, self.waiting = self.waiting, []
        return batch


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Undo before anything else runs: the clock is the one that all use."""
    with monkeypatch.context() as patch:
        yield patch


def test_a_client_on_the_same_cpu_is_let_run_before_the_first_look(
    quickly: pytest.MonkeyPatch,
) -> None:
    script = Script(quickly, yields_needed=1, seconds=1e-6)
    assert script.intake.next(ONE, 1) == ONE
    assert (script.yields, script.looks) == (1, 1)


def test_it_looks_again_and_again_for_so_long(quickly: pytest.MonkeyPatch) -> None:
    script = Script(quickly, yields_needed=20, seconds=2e-6)
    assert script.intake.next(ONE, 1) == ONE
    assert script.yields == 20
    script = Script(quickly, yields_needed=27, seconds=2e-6)
    assert script.intake.next(ONE, 1) == ()
    assert script.yields == pytest.approx(25, abs=1)
    assert script.intake.next(ONE, 1) == ()  # once in vain: not at the next wait
    assert script.yields == pytest.approx(25, abs=1)


def test_a_cpu_that_others_need_is_left_to_them(quickly: pytest.MonkeyPatch) -> None:
    """Whoever gets it for longer than that ends the poll."""
    script = Script(quickly, yields_needed=99, seconds=0.01)
    assert script.intake.next(ONE, 1) == ()
    assert script.yields == 1


def test_without_sched_yield_there_is_no_polling(quickly: pytest.MonkeyPatch) -> None:
    quickly.delattr("os.sched_yield", raising=False)
    endpoint = SimNetwork().bind("192.0.2.1", 69)
    intake = Intake(endpoint, Tuning(poll_seconds=SECONDS))
    assert intake.next(ONE, 1) == ()


# What it costs, on real sockets.


@pytest.mark.real
@needs_yield
async def test_a_client_that_takes_its_time_is_not_polled_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yields = 0
    sched_yield = os.sched_yield

    def counted() -> None:
        nonlocal yields
        yields += 1
        sched_yield()

    monkeypatch.setattr("os.sched_yield", counted)
    (tmp_path / "file").write_bytes(bytes(100 * 512))
    async with serving_inside(configure(tmp_path)) as inside:
        with Peer() as peer:
            # With a timeout nothing comes twice, however late the client is on a busy machine.
            peer.send(rrq(b"file", ("timeout", 50)), inside.address[:2])
            for number in range(102):
                await trio.lowlevel.wait_readable(peer.socket)
                packet, source = peer.receive()
                assert packet[:4] == data(number, b"") or not number
                await trio.sleep(0.005)
                peer.send(ack(number), source)
    # 100 ACKs hold seven polls; each is some 25 yields where nobody else wants the CPU.
    assert yields / 100 < 10


def cpu_seconds(server: Server) -> float:
    """Return what a process has used so far, threads included."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_idle_and_stalled_servers_use_no_cpu(tmp_path: Path) -> None:
    """One that nobody asks, and one whose only client has asked and never acknowledges."""
    (tmp_path / "file").write_bytes(bytes(200_000))
    with serving(tmp_path) as idle, serving(tmp_path) as stalled, Peer() as peer:
        peer.ask(rrq(b"file", ("windowsize", 16)), stalled.address)
        time.sleep(0.1)  # what starting up leaves behind
        before = cpu_seconds(idle), cpu_seconds(stalled)
        time.sleep(3.0)
        tick = 1 / os.sysconf("SC_CLK_TCK")
        assert cpu_seconds(idle) - before[0] <= tick
        assert cpu_seconds(stalled) - before[1] < 0.1
