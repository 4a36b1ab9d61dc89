"""RRQ without keeping the file: how long it takes, how large it is, and its digest.

For health checks.  Nothing is written anywhere, and memory does not grow with the file.
"""

from __future__ import annotations

import hashlib

import attrs
import trio

from snowowl.client.errors import OptionsRefusedError
from snowowl.client.options import ClientOptions
from snowowl.client.session import Session, converse
from snowowl.client.sinks import payloads
from snowowl.client.url import Target
from snowowl.content.errors import ContentError
from snowowl.datagram.interface import Endpoint, Network
from snowowl.datagram.system import SystemNetwork
from snowowl.protocol.initiate import ReadInitiator
from snowowl.wire.codec import Buffer
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Options, ReadRequest


@attrs.define
class Probe:
    """What is known of a fetch, also while it runs."""

    octets: int = 0
    """Octets that came."""
    announced: int | None = None
    """The size that the server announced (tsize)."""
    whole: bool = False
    """All of the file came; it was not broken off."""
    sha256: str = ""
    """The digest of the file, once it is whole."""
    seconds: float = 0.0
    granted: Options = ()
    retransmitted: int = 0


class _EnoughError(ContentError):
    """More octets are not needed."""

    def __init__(self) -> None:
        # What a server logs for a client that breaks off.
        super().__init__(ErrorCode.NOT_DEFINED, "health check has seen enough")


class _DigestSink:
    """Counts and digests octets, and keeps none of them."""

    def __init__(self, probe: Probe, octets_max: int | None) -> None:
        self._probe = probe
        self._octets_max = octets_max
        self._digest = hashlib.sha256()
        self.enough = False

    @property
    def pending(self) -> int:
        """Nothing waits to be written."""
        return 0

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Take the payload of DATA datagrams.  Raises ContentError when it has seen enough."""
        for payload in payloads(data, stride, count):
            self._digest.update(payload)
            self._probe.octets += len(payload)
        if self._octets_max is not None and self._probe.octets >= self._octets_max:
            self.enough = True
            raise _EnoughError

    async def flush(self) -> None:
        """Do nothing."""

    async def commit(self) -> None:
        """Take note that the file is whole."""
        self._probe.whole = True
        self._probe.sha256 = self._digest.hexdigest()


async def fetch(
    target: Target,
    probe: Probe,
    *,
    options: ClientOptions,
    octets_max: int | None = None,
    network: Network | None = None,
) -> None:
    """Fetch a file into nothing, and fill in `probe` as it comes.

    `octets_max` breaks the transfer off, by ERROR 0, once so many octets have come.  A server that
    refuses the options by ERROR 8 is asked once more without.  Raises ClientError.
    """
    network = network or SystemNetwork()
    try:
        await _fetch(target, probe, options, octets_max, network)
    except OptionsRefusedError:
        if not options.asked(0):
            raise
        plain = ClientOptions.none(timeout=options.timeout, retries=options.retries)
        await _fetch(target, probe, plain, octets_max, network)


async def _fetch(
    target: Target,
    probe: Probe,
    options: ClientOptions,
    octets_max: int | None,
    network: Network,
) -> None:
    sink = _DigestSink(probe, octets_max)
    request = ReadRequest(target.filename, target.mode, options.asked(0))
    started = trio.current_time()
    sessions: list[Session] = []

    def begin(endpoint: Endpoint, server: bytes) -> Session:
        transfer = ReadInitiator(request, options.retransmit())
        sessions.append(Session(endpoint, server, transfer, sink=sink))
        return sessions[-1]

    try:
        await converse(target, network, begin)
    except Exception:
        if not sink.enough:
            raise
    finally:
        probe.seconds = trio.current_time() - started
        _learn(probe, sessions[-1:], started)


def _learn(probe: Probe, last: list[Session], started: float) -> None:
    """Fill in what the last session tells; there is none if the host has no address."""
    for session in last:
        transfer = session.transfer
        if session.ended_at:
            probe.seconds = session.ended_at - started
        probe.announced = transfer.terms.tsize
        probe.granted = transfer.terms.granted
        probe.retransmitted = transfer.retransmitted
