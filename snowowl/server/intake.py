"""When to look for what has arrived: at once, after a moment, or a while longer than there is any."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

from snowowl.datagram.interface import Endpoint, Received, word_of
from snowowl.server.polling import Polling
from snowowl.server.tuning import Tuning
from snowowl.wire.constants import Opcode

FILLED_PART: Final = 4
"""A batch with less than this part of its places taken is small."""

REQUESTS: Final = (Opcode.RRQ, Opcode.WRQ)
_REQUEST_OCTETS: Final = frozenset(int(opcode) for opcode in REQUESTS)


def apart(received: Received) -> Iterator[Received]:
    """Yield the datagrams of a message one by one, if the kernel has joined several (UDP_GRO)."""
    data, stride = received.data, received.stride
    if len(data) <= stride:
        yield received
        return
    for start in range(0, len(data), stride):
        piece = data[start : start + stride]
        yield Received(piece, stride, received.peer, received.local, word_of(piece))


def requests_apart(batch: Sequence[Received]) -> list[Received]:
    """Return a batch in which no request is joined with anything.

    The kernel joins what one peer sends in a row: a request that came twice; the ERROR that ends a
    probe, or the last block of an upload, and the request behind it.
    """
    told: list[Received] = []
    for received in batch:
        data, stride = received.data, received.stride
        # The second octet of each: one by one, 64 datagrams take 14 us.
        if len(data) > stride and not _REQUEST_OCTETS.isdisjoint(bytes(data[1::stride])):
            told.extend(apart(received))
        else:
            told.append(received)
    return told


class Intake:
    """The receiving side of one endpoint."""

    def __init__(self, endpoint: Endpoint, tuning: Tuning) -> None:
        self._receive = endpoint.receive
        self._counters = endpoint.counters
        self._tuning = tuning
        self._polling = Polling(tuning.poll_seconds if hasattr(os, "sched_yield") else 0.0)
        self._batch_size = 0

    def first(self, transfers: int) -> Sequence[Received]:
        """Return a batch once the endpoint is readable, with that many transfers active.

        If batches are small although there are many transfers, the CPU is left to the clients for a
        moment: each batch costs a wake-up, whatever its size.  The loop stands still meanwhile, for
        less than a full batch takes.
        """
        tuning = self._tuning
        if (
            tuning.fill_seconds
            and transfers >= tuning.batch_max
            and self._batch_size < tuning.batch_max // FILLED_PART
        ):
            time.sleep(tuning.fill_seconds)
        batch = self._receive()
        self._batch_size = len(batch)
        return batch

    def next(self, batch: Sequence[Received], transfers: int) -> Sequence[Received]:
        """Return the batch that follows one, empty if none does, or none soon.

        Behind a single datagram there is rarely another: that call is saved.
        """
        following = self._receive() if len(batch) > 1 else ()
        if not following and self._polling.pays(transfers):
            return self._poll()
        return following

    def waiting(self, batches_max: int) -> Iterator[Sequence[Received]]:
        """Yield what has arrived already, batch by batch; each is gone when the next is asked for.

        An error of the socket is told before what waits in it, whomever it is about.
        """
        for _ in range(batches_max):
            errors = self._counters.errors
            batch = self._receive()
            if batch:
                yield batch
            elif self._counters.errors == errors:
                return

    def _poll(self) -> Sequence[Received]:
        """Look for a batch a while longer; return it, or nothing."""
        receive, clock = self._receive, time.perf_counter
        stop = clock() + self._polling.seconds
        while True:
            os.sched_yield()
            batch = receive()
            if batch:
                self._polling.succeeded()
                return batch
            if clock() >= stop:
                self._polling.failed()
                return ()
