"""WRQ: send a file."""

from __future__ import annotations

import os
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import trio

from snowowl.client.errors import ClientError, OptionsRefusedError, Reason
from snowowl.client.options import ClientOptions, Progress
from snowowl.client.session import Session, converse
from snowowl.client.sinks import LITERAL_NAMES
from snowowl.client.url import Target, parse_url
from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.source import BytesSource, Source
from snowowl.content.store import Store
from snowowl.content.uploads import WritePolicy
from snowowl.datagram.interface import Endpoint, Network
from snowowl.datagram.system import SystemNetwork
from snowowl.protocol.initiate import WriteInitiator
from snowowl.wire import netascii
from snowowl.wire.packets import Mode, Options, WriteRequest


@attrs.frozen
class Sent:
    """A file of which every octet was sent; look at `confirmed` before you rely on it."""

    size: int
    """Octets on the wire."""
    seconds: float
    granted: Options
    retransmitted: int
    confirmed: bool
    """The last ACK came: the server has the file.  Without it, it may have it or not: it closed its
    port or fell silent after the last window was sent, and that is how a server looks whose last ACK
    was lost, and one that died before it stored anything."""


async def put(
    source: str | os.PathLike[str] | bytes | int,
    url: str | Target,
    *,
    options: ClientOptions | None = None,
    progress: Progress | None = None,
    network: Network | None = None,
) -> Sent:
    """Send octets, the file at a path, or all that a file descriptor yields to a TFTP URL.

    A server that refuses the options by ERROR 8 is asked once more without.  Raises ValueError for
    a URL that is none, ClientError if the transfer fails; it has not failed if only the last ACK is
    missing, see `Sent.confirmed`.
    """
    target = parse_url(url) if isinstance(url, str) else url
    options = options or ClientOptions()
    network = network or SystemNetwork()
    async with AsyncExitStack() as stack:
        try:
            content = await _open(source, target.mode, stack)
        except ContentError as error:
            raise ClientError(Reason.LOCAL_READ, error.detail or error.message) from error
        try:
            return await _put(target, content, options, progress, network)
        except OptionsRefusedError:
            if not options.asked(content.size):
                raise
            plain = ClientOptions.none(timeout=options.timeout, retries=options.retries)
            return await _put(target, content, plain, progress, network)


async def _put(
    target: Target,
    content: Source,
    options: ClientOptions,
    progress: Progress | None,
    network: Network,
) -> Sent:
    request = WriteRequest(target.filename, target.mode, options.asked(content.size))
    started = trio.current_time()

    def told(octets: int, total: int | None) -> None:
        del total
        if progress is not None:
            progress(octets, content.size)

    def begin(endpoint: Endpoint, server: bytes) -> Session:
        transfer = WriteInitiator(request, options.retransmit(), content.size)
        return Session(endpoint, server, transfer, source=content, progress=told)

    session = await converse(target, network, begin)
    transfer = session.transfer
    return Sent(
        size=content.size,
        seconds=session.ended_at - started,
        granted=transfer.terms.granted,
        retransmitted=transfer.retransmitted,
        confirmed=transfer.octets == content.size and session.confirmed,
    )


async def _open(
    source: str | os.PathLike[str] | bytes | int, mode: Mode, stack: AsyncExitStack
) -> Source:
    """Return the octets to send.  Raises ContentError."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            # Abandoned if cancelled: a pipe that nobody writes to would never let the thread go.
            octets, real = await trio.to_thread.run_sync(_look, path, abandon_on_cancel=True)
            if octets is None:
                store = Store(real.parent, rules=LITERAL_NAMES, policy=WritePolicy())
                stack.callback(store.close)
                name = os.fsencode(real.name)
                content = await store.open(name, netascii=mode is Mode.NETASCII)
                stack.callback(content.close)
                return content
        except OSError as error:
            raise from_os_error(error, f"cannot read {path}") from error
    elif isinstance(source, int):
        try:
            octets = await trio.to_thread.run_sync(_read_all, source, abandon_on_cancel=True)
        except OSError as error:
            raise from_os_error(error, f"cannot read file descriptor {source}") from error
    else:
        octets = source
    return BytesSource(netascii.encode(octets) if mode is Mode.NETASCII else octets)


def _look(path: Path) -> tuple[bytes | None, Path]:
    """Return the octets of what is no regular file, a pipe say, and the path without links.  Blocks."""
    octets = None if stat.S_ISREG(path.stat().st_mode) else path.read_bytes()
    return octets, path.resolve()


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb", closefd=False) as stream:
        return stream.read()
