"""Run a program that serves and fetches by TFTP in virtual time, on a simulated network, by a seed.

    def test_my_lab() -> None:
        async def program(simulation: Simulation) -> None:
            simulation.network.link = Link(loss=0.1, delay_seconds=0.02)
            async with trio.open_nursery() as nursery:
                await nursery.start(snowowl.serve, config)
                received = await snowowl.get("tftp://192.0.2.1/kernel")
                ...

        simulate(program, seed=7)

The program is the real one: the server, the client, its own tasks.  Replaced is what cannot be
repeated: UDP, by `SimNetwork`; the clock, by one that jumps to the next deadline when every task
waits; threads, by calls in place; the order of tasks and what is in the page cache, by draws.  The
same seed gives the same run, datagram by datagram, in every process; Python's hash seed does not
matter.  Hours take seconds.

What a program may not do in it: open sockets by itself, start processes, read the system's clock.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import trio
from trio.testing import MockClock

from snowowl.datagram import address
from snowowl.testing.determinism import scheduler_seeded, threads_inline
from snowowl.testing.disk import Disk
from snowowl.testing.link import Link
from snowowl.testing.names import SimResolver
from snowowl.testing.pcap import PcapWriter
from snowowl.testing.simhost import SimHost
from snowowl.testing.simnetwork import SimNetwork
from snowowl.testing.trace import TraceDigest

Result = TypeVar("Result")

SECONDS_MAX: Final = 7 * 86400.0
"""Virtual seconds after which a program is taken to hang, if nothing else is said."""

_OPENERS: Final = (
    ("snowowl.server.serve", "system_network"),
    ("snowowl.client.get", "SystemNetwork"),
    ("snowowl.client.put", "SystemNetwork"),
)
"""Where a network comes from if none is named."""

_DESCRIPTORS: Final = Path("/proc/self/fd")


class LeftoverError(AssertionError):
    """A program has ended and left something behind: an open socket, an open file."""


class HangError(AssertionError):
    """A program went on for longer than it was granted, in virtual time."""


class Simulation:
    """What a program that is simulated can see and turn."""

    def __init__(self, seed: int, network: SimNetwork, disk: Disk) -> None:
        self.seed = seed
        self.network = network
        """Where every datagram goes; who names no network to snowowl uses it, as 192.0.2.200 and
        2001:db8::200."""
        self.disk = disk
        self.names: dict[str, tuple[str, ...]] = {}
        """Host names and their addresses, instead of DNS."""
        self.trace = TraceDigest()
        network.watchers.append(self.trace)
        self._clock = MockClock(autojump_threshold=0)

    @property
    def now(self) -> float:
        """Virtual seconds since it began."""
        return self._clock.current_time()

    def host(self, *addresses: str) -> SimHost:
        """Return a machine's network: `network=` for the server or the client that runs on it."""
        return self.network.host(*addresses)

    def stand_still(self, seconds: float) -> None:
        """Let time pass without anything being scheduled: a machine that was suspended, or too busy.

        What was to happen meanwhile happens when the caller waits next: all at once.
        """
        self._clock.jump(seconds)

    def run(self, program: Callable[[Simulation], Awaitable[Result]], seconds_max: float) -> Result:
        """Run a program.  See `simulate`."""
        return trio.run(self._run, program, seconds_max, clock=self._clock)

    async def _run(
        self, program: Callable[[Simulation], Awaitable[Result]], seconds_max: float
    ) -> Result:
        trio.socket.set_custom_hostname_resolver(SimResolver(self.names))
        with trio.move_on_after(seconds_max) as scope:
            result = await program(self)
            if not scope.cancel_called:  # if it was, the program has not listened to it
                return result
        raise HangError(f"the program has not ended after {seconds_max:g} virtual seconds")


def simulate(
    program: Callable[[Simulation], Awaitable[Result]],
    *,
    seed: int = 0,
    link: Link | None = None,
    network: SimNetwork | None = None,
    pcap: str | os.PathLike[str] | None = None,
    seconds_max: float = SECONDS_MAX,
) -> Result:
    """Run an async function in a simulation and return what it returns.

    `link` is what all hosts are connected by, unless a whole `network` is given; `pcap` a file for
    Wireshark.  Raises what the program raises, with a note of the seed; HangError after
    `seconds_max` of virtual time; LeftoverError if sockets or files are still open at the end.

    Not for use inside a running Trio loop, where it raises RuntimeError: a test that calls it is a
    plain function.
    """
    if _is_inside_trio():
        raise RuntimeError(
            "simulate() runs a loop of its own: call it from a plain function, not inside Trio"
        )
    network = SimNetwork(seed, link) if network is None else network
    simulation = Simulation(seed, network, Disk(seed))
    before = _descriptors()
    try:
        with ExitStack() as stack:
            if pcap is not None:
                network.watchers.append(PcapWriter(stack.enter_context(Path(pcap).open("wb"))))
            stack.enter_context(scheduler_seeded(seed))
            stack.enter_context(threads_inline(simulation.disk.pause))
            stack.enter_context(simulation.disk.installed())
            stack.enter_context(_networks_replaced(network))
            result = simulation.run(program, seconds_max)
        _check_nothing_is_left(network, before)
    except BaseException as error:
        error.add_note(
            f"simulated with seed={seed}, for {simulation.now:.6f} virtual seconds and"
            f" {simulation.trace.datagrams} datagrams; the same seed repeats it"
        )
        raise
    return result


def _is_inside_trio() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


@contextmanager
def _networks_replaced(network: SimNetwork) -> Iterator[None]:
    """Give `network` to whoever asks snowowl for the system's, meanwhile."""
    replaced = [(importlib.import_module(module), name) for module, name in _OPENERS]
    originals = [getattr(module, name) for module, name in replaced]
    try:
        for module, name in replaced:
            setattr(module, name, lambda *_: network)
        yield
    finally:
        for (module, name), original in zip(replaced, originals, strict=True):
            setattr(module, name, original)


def _descriptors() -> dict[str, str]:
    """Return what descriptors this process has, and of what; nothing where that cannot be known."""
    found = {}
    if _DESCRIPTORS.is_dir():
        for entry in _DESCRIPTORS.iterdir():
            with suppress(OSError):  # the one that the folder itself is read by
                found[entry.name] = str(entry.readlink())
    return found


def _check_nothing_is_left(network: SimNetwork, before: dict[str, str]) -> None:
    sockets = [address.text(name) for name in network.endpoints]
    after = _descriptors()
    if set(after) - set(before):  # what a cycle holds is not left behind
        gc.collect()
        after = _descriptors()
    files = [what for number, what in after.items() if number not in before]
    if sockets or files:
        raise LeftoverError(
            f"the program has ended and left open {', '.join(sorted(sockets + files))}:"
            " close what it opened, or end the tasks that own it"
        )
