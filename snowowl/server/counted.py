"""What is counted where it happens, as a source of `snowowl.observe.metrics`: read when asked for."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from snowowl.datagram.interface import Counters
from snowowl.observe.metrics import Snapshot
from snowowl.observe.observers import Observers
from snowowl.server.acceptor import Acceptor
from snowowl.server.exchanges import Exchanges
from snowowl.server.guard import Guard
from snowowl.server.registry import Registry


@attrs.define(eq=False)
class Counted:
    """The counts of one server."""

    acceptors: Sequence[Acceptor]
    exchanges: Exchanges
    registry: Registry
    observers: Observers
    guard: Guard

    def __call__(self) -> Snapshot:
        """Read all."""
        sockets = Counters()
        for acceptor in self.acceptors:
            acceptor.look_for_drops()
            sockets.add(acceptor.endpoint.counters)
        sockets.add(self.exchanges.counters())
        return {
            "snowowl_transfers_in_progress": {"": [self.registry.unsettled]},
            "snowowl_requests_refused_total": {
                refusal.value: [count] for refusal, count in self.guard.counts.items()
            },
            "snowowl_datagrams_received_total": {"": [sockets.datagrams_received]},
            "snowowl_datagrams_sent_total": {"": [sockets.datagrams_sent]},
            "snowowl_datagrams_lost_total": {"": [sockets.datagrams_lost]},
            "snowowl_socket_errors_total": {"": [sockets.errors]},
            "snowowl_observer_failures_total": {"": [self.observers.failures]},
        }
