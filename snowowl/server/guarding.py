"""The guard in its server: which addresses it watches, and the transfers that outstay their time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Final

import trio

from snowowl.config import Config
from snowowl.datagram.interface import Network
from snowowl.observe.events import AccessNarrowed
from snowowl.observe.observers import Observers
from snowowl.protocol.events import Stopped
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server.access import is_public
from snowowl.server.guard import Guard
from snowowl.server.interfaces import machine_addresses
from snowowl.server.refusals import Refusals
from snowowl.server.registry import Registry
from snowowl.wire.constants import ErrorCode

OVERDUE: Final = Stopped(
    OutcomeKind.TIMED_OUT,
    "the transfer took too long (limits.transfer_seconds_max)",
    ErrorCode.NOT_DEFINED,
)

LOOK_SECONDS_MIN: Final = 1.0
"""Between two looks, for transfers that cannot be ended just now: what is being committed."""
LOOK_SECONDS_MAX: Final = 60.0
"""The limit may become another one while nobody looks."""


class Narrowing:
    """Tells whom a server does not serve although nobody has said so, whenever that begins."""

    def __init__(self, public: tuple[str, ...], observers: Observers) -> None:
        self.public = public
        """The public addresses that can be asked."""
        self._observers = observers
        self._is_narrow = False

    def __call__(self, config: Config) -> None:
        """Tell it, if it is so by this configuration, and was not before."""
        was_narrow, self._is_narrow = self._is_narrow, not config.access.allow
        if self.public and self._is_narrow and not was_narrow:
            self._observers.emit(AccessNarrowed(self.public))


def make_guard(
    config: Config, network: Network, observers: Observers, stack: ExitStack
) -> tuple[Guard, Narrowing]:
    """Make the guard of a server; and who tells of what it guards, and has told it of this.

    When the stack is unwound, what the guard has not told yet is told.
    """
    refusals = Refusals(observers)
    stack.callback(refusals.tell)
    narrowing = Narrowing(tuple(dict.fromkeys(_public_addresses(config, network))), observers)
    narrowing(config)
    return Guard(config, refusals, unknown_is_public=bool(narrowing.public)), narrowing


def _public_addresses(config: Config, network: Network) -> Iterator[str]:
    """Yield the public addresses that can be asked, as texts."""
    machine = machine_addresses() if network.capabilities is not None else ()
    for listen in config.server.addresses():
        host = ip_address(listen.host.partition("%")[0] or "::")
        if not host.is_unspecified:
            candidates: tuple[bytes, ...] = (host.packed,)
        elif host.version == 4:
            candidates = tuple(packed for packed in machine if len(packed) == 4)
        else:  # with IPv4, unless the host says that it is IPv6 alone
            candidates = tuple(p for p in machine if not listen.host or len(p) == 16)
        yield from (str(ip_address(packed)) for packed in candidates if is_public(packed))


async def attend(guard: Guard, registry: Registry) -> None:
    """Do what a guard has to do in the course of time, until cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guard.refusals.run)
        nursery.start_soon(end_overdue, registry, guard)


async def end_overdue(registry: Registry, guard: Guard) -> None:
    """End the transfers that take longer than they may, until cancelled.

    They are ended in the order in which they began, so the oldest says when to look again.
    """
    while True:
        now = trio.current_time()
        for admitted in registry.begun_before(now - guard.transfer_seconds_max):
            admitted.deliver(OVERDUE)
        oldest = registry.oldest
        due = (now if oldest is None else oldest.since) + guard.transfer_seconds_max
        await trio.sleep_until(min(max(due, now + LOOK_SECONDS_MIN), now + LOOK_SECONDS_MAX))
