"""What a supervisor and its worker processes say to each other: lines of JSON over a socket pair.

The supervisor gives an `Order` first, then words; a worker answers in words.  Both are of one
program; but the other side may be gone at any time, and that is never an error: it is read as the
end.  And a worker serves the network: whatever it says, only it ends by that.

| word | from | means |
|---|---|---|
| `ready` | worker | could serve, waits for `go` |
| `go` | supervisor | take requests |
| `drain` | supervisor | take no more requests, let the transfers finish, end; so does the end |
| `retire` | supervisor | the same, but the transfers have all the time that they may take |
| `draining` | worker | takes no more requests; how many transfers it has |
| `stop` | supervisor | end now |
| `ping` | supervisor | say `pong`: so a worker whose event loop hangs is noticed |
| `pong` | worker | its event loop runs |
| `failed` | worker | why it cannot serve; it ends |
| `counts` | worker | its metrics up to now, each second |
| `reopen` | supervisor | open the files that are appended to anew |
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from typing import Final, Literal, cast

import attrs
import trio

from snowowl.config import Config

Word = Literal[
    "ready",
    "go",
    "drain",
    "retire",
    "draining",
    "stop",
    "ping",
    "pong",
    "failed",
    "counts",
    "reopen",
]

_RECEIVE_SIZE: Final = 65536

LINE_MAX: Final = 1 << 20
"""Octets of a word; the longest, all counts of a worker, has some 20,000."""


class OrderError(Exception):
    """What was read is no order for this worker."""


@attrs.frozen
class Message:
    """A word, and what it is about."""

    word: Word
    detail: str = ""


@attrs.frozen
class Order:
    """What a worker needs to know; its listening sockets it has inherited."""

    config: Config
    listening: tuple[int, ...]
    """Descriptors, in the order of `server.listen`."""
    colors: bool

    def encode(self) -> bytes:
        """Return the order as a line."""
        plain = {
            "config": attrs.asdict(self.config),
            "listening": self.listening,
            "colors": self.colors,
        }
        return json.dumps(plain, default=os.fspath).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """Read an order.  Raises OrderError."""
    from snowowl.config.structure import StructureError, structure
    from snowowl.config.words import dotted

    try:
        plain = json.loads(line)
        config = structure(plain["config"])
        return Order(config, tuple(plain["listening"]), plain["colors"])
    except StructureError as error:
        reason = "; ".join(f"{dotted(fault.path)}: {fault.message}" for fault in error.faults)
    except (ValueError, TypeError, LookupError) as error:
        reason = str(error)
    raise OrderError(
        f"a worker does not understand its order ({reason}): was snowowl changed while its server"
        " runs? Then restart the server"
    )


def read_line(sock: socket.socket) -> bytes:
    """Return one line of a blocking socket, without its end; less if the other side has gone.

    BLOCKS.  There must be nothing behind it yet.
    """
    octets = b""
    while not octets.endswith(b"\n"):
        piece = sock.recv(_RECEIVE_SIZE)
        if not piece:
            break
        octets += piece
    return octets.removesuffix(b"\n")


class Channel:
    """One end of the line.  Owns its socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._waiting = trio.socket.from_stdlib_socket(sock)
        self._octets = b""
        self._untold = b""

    async def send(self, line: bytes) -> None:
        """Send a whole line; to nobody, if the other side has gone."""
        with suppress(OSError):
            while line:
                line = line[await self._waiting.send(line) :]

    def tell(self, word: Word, detail: str = "") -> None:
        """Send a word.  Never blocks and never raises: who has gone need not be told.

        What one who reads nothing has no room for waits for the next word.
        """
        self._untold += json.dumps([word, detail]).encode() + b"\n"
        with suppress(OSError):
            while self._untold:
                self._untold = self._untold[self._socket.send(self._untold) :]

    @property
    def is_read(self) -> bool:
        """All words have gone out; else one that can be told later should be."""
        return not self._untold

    async def receive(self) -> Message | None:
        """Return the next word, None when the other side has gone.

        Raises ValueError for what is no word: a worker whose memory somebody else writes to must
        not end its supervisor.
        """
        while b"\n" not in self._octets:
            if len(self._octets) > LINE_MAX:
                raise ValueError("a word without an end")
            try:
                piece = await self._waiting.recv(_RECEIVE_SIZE)
            except OSError:  # ECONNRESET: it went without reading all
                piece = b""
            if not piece:
                return None
            self._octets += piece
        line, _, self._octets = self._octets.partition(b"\n")
        try:
            word, detail = json.loads(line)
        except (TypeError, RecursionError) as error:
            raise ValueError("no word") from error
        if not isinstance(word, str) or not isinstance(detail, str):
            raise ValueError("no word")  # noqa: TRY004 - what is wrong is a value
        return Message(cast("Word", word), detail)

    def close(self) -> None:
        """Hang up.  Idempotent."""
        self._waiting.close()
