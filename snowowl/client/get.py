"""RRQ: fetch a file."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import trio

from snowowl.client.errors import ClientError, OptionsRefusedError, Reason
from snowowl.client.options import ClientOptions, Progress
from snowowl.client.session import Session, Sink, converse
from snowowl.client.sinks import MemorySink, StreamSink, file_sink
from snowowl.client.url import Target, parse_url
from snowowl.content.errors import ContentError
from snowowl.datagram.interface import Endpoint, Network
from snowowl.datagram.system import SystemNetwork
from snowowl.protocol.initiate import ReadInitiator
from snowowl.wire.packets import Mode, Options, ReadRequest


@attrs.frozen
class Received:
    """A file that was fetched, whole."""

    octets: bytes | None
    """Its content; None where it went to a file or a descriptor."""
    size: int
    """Octets on the wire."""
    seconds: float
    granted: Options
    retransmitted: int


async def get(
    url: str | Target,
    to: str | os.PathLike[str] | int | None = None,
    *,
    options: ClientOptions | None = None,
    progress: Progress | None = None,
    network: Network | None = None,
) -> Received:
    """Fetch ``tftp://host[:port]/path;mode=octet`` (RFC 3617).

    `to` is None to keep the octets, a path for a file that appears when it is whole, or a file
    descriptor that is written to as octets come.  A server that refuses the options by ERROR 8 is
    asked once more without.

    Raises ValueError for a URL that is none, ClientError if the transfer fails.
    """
    target = parse_url(url) if isinstance(url, str) else url
    options = options or ClientOptions()
    network = network or SystemNetwork()
    try:
        return await _get(target, to, options, progress, network)
    except OptionsRefusedError:
        if not options.asked(0):
            raise
        plain = ClientOptions.none(timeout=options.timeout, retries=options.retries)
        return await _get(target, to, plain, progress, network)


async def _get(
    target: Target,
    to: str | os.PathLike[str] | int | None,
    options: ClientOptions,
    progress: Progress | None,
    network: Network,
) -> Received:
    netascii = target.mode is Mode.NETASCII
    request = ReadRequest(target.filename, target.mode, options.asked(0))
    started = trio.current_time()
    try:
        async with AsyncExitStack() as stack:
            memory = MemorySink(netascii=netascii)
            sink: Sink = memory
            if isinstance(to, int):
                sink = StreamSink(to, netascii=netascii)
            elif to is not None:
                sink = await stack.enter_async_context(file_sink(Path(to), netascii=netascii))

            def begin(endpoint: Endpoint, server: bytes) -> Session:
                transfer = ReadInitiator(request, options.retransmit())
                return Session(endpoint, server, transfer, sink=sink, progress=progress)

            session = await converse(target, network, begin)
    except ContentError as error:
        raise ClientError(Reason.LOCAL_WRITE, error.detail or error.message) from error
    transfer = session.transfer
    return Received(
        octets=memory.octets if to is None else None,
        size=transfer.octets,
        seconds=session.ended_at - started,
        granted=transfer.terms.granted,
        retransmitted=transfer.retransmitted,
    )
