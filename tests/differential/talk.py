"""A conversation with one server: what is said, and what was observed, in words that compare.

What servers may choose freely is left out: the text of an ERROR, the order of options (there is a
case for it), ports, and when something came.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from snowowl.datagram import address
from snowowl.datagram.interface import Network
from snowowl.testing.probe import Heard, Probe
from tests.differential import tree

ANSWER_SECONDS: Final = 0.7
"""An answer takes microseconds; dnsmasq, whose timer cannot be set, repeats after one to two seconds."""

UPLOAD_ANSWER_SECONDS: Final = 2.0
"""The last ACK of an upload may wait for a busy disk; the timers of servers that take uploads are long."""

QUIET_SECONDS: Final = 0.4
ANSWERS_MAX: Final = 500
NOTHING: Final = "nothing"

DATA, ACK, ERROR, OACK = 3, 4, 5, 6


def number_of(octets: bytes) -> int:
    """Return the second field: a block number, or the code of an ERROR."""
    return int.from_bytes(octets[2:4], "big")


def opcode_of(octets: bytes) -> int:
    return int.from_bytes(octets[:2], "big") if len(octets) >= 2 else -1


def options_of(octets: bytes) -> list[tuple[str, str]]:
    """Return the options of an OACK as they stand."""
    words = octets[2:].decode("latin-1").split("\0")[:-1]
    return list(zip(words[0::2], words[1::2], strict=False))


def described(octets: bytes) -> str:
    """Return a datagram in words."""
    opcode = opcode_of(octets)
    if opcode == DATA and len(octets) >= 4:
        return f"DATA {number_of(octets)} ({len(octets) - 4})"
    if opcode == ACK and len(octets) == 4:
        return f"ACK {number_of(octets)}"
    if opcode == ERROR and len(octets) >= 4:
        whole = octets.endswith(b"\0") and octets.count(b"\0", 4) == 1
        return f"ERROR {number_of(octets)}" + ("" if whole else " with a text that does not end")
    if opcode == OACK:
        pairs = sorted(f"{name}={value}" for name, value in options_of(octets))
        odd = "" if octets.count(b"\0", 2) == 2 * len(pairs) else " and a half"
        return " ".join(["OACK", *pairs]) + odd
    return f"{len(octets)} octets {octets[:16].hex(' ')}"


def joined(answers: Sequence[str]) -> str:
    """Return several answers to one question; a run of equal ones as one with its number."""
    parts: list[str] = []
    at = 0
    while at < len(answers):
        end = at
        while end < len(answers) and answers[end] == answers[at]:
            end += 1
        parts.append(answers[at] + (f" x{end - at}" if end - at > 1 else ""))
        at = end
    return ", ".join(parts) or NOTHING


class Talk:
    """One client of one server.  Use it as a context manager: it leaves no transfer behind."""

    def __init__(
        self, network: Network, server: bytes, root: Path, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._network = network
        self.answer_seconds = answer_seconds
        """How long to wait for an answer, or to be sure that none comes."""
        self.server = server
        self.root = root
        self.probe = Probe(network, socket.AF_INET)
        self.observed: list[str] = []
        self.request = b""
        self.tid: bytes | None = None
        """Where the first answer came from."""
        self.tids: set[bytes] = set()
        """Wherever answers came from."""
        self.last = b""
        """The last datagram that was heard; nothing if none came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.probe.close()

    def note(self, text: str) -> None:
        """Add an observation."""
        self.observed.append(text)

    async def ask(self, octets: bytes) -> None:
        """Send to the listening port."""
        self.request = octets
        await self.probe.send(octets, self.server)

    async def reply(self, octets: bytes) -> None:
        """Send to where the first answer came from, to the listening port if there was none."""
        await self.probe.send(octets, self.tid or self.server)

    async def hear(self, seconds: float | None = None) -> bytes:
        """Return the next datagram, nothing if none comes; it is not an observation yet."""
        heard = await self.probe.receive(self.answer_seconds if seconds is None else seconds)
        self.last = self._taken(heard)
        return self.last

    async def hear_all(self) -> list[bytes]:
        """Return what comes until it has been quiet for a while."""
        answers: list[bytes] = []
        while len(answers) < ANSWERS_MAX and await self.hear(QUIET_SECONDS if answers else None):
            answers.append(self.last)
        if answers:
            self.last = answers[-1]
        return answers

    def _taken(self, heard: Heard | None) -> bytes:
        if heard is None:
            return b""
        if self._is_the_server(heard.source):
            self.tid = self.tid or heard.source
            self.tids.add(heard.source)
        return heard.octets

    def _is_the_server(self, source: bytes) -> bool:
        return address.host_octets(source) == address.host_octets(self.server)

    def stranger(self) -> Probe:
        """Return a socket with another TID; the caller closes it."""
        return Probe(self._network, socket.AF_INET)

    async def leave(self) -> None:
        """End what is still running, as clients do that have enough.

        A server that went on would send to whoever has this port next.
        """
        for tid in self.tids:
            await self.probe.send(b"\0\5\0\0\0", tid)

    def called(self, content: bytes) -> str:
        """Return the name of the file that holds this, or what it is."""
        for name in tree.NAMES:
            path = self.root / name
            if path.stat().st_size == len(content) and path.read_bytes() == content:
                return f"content of {name!r}"
        if len(content) <= 64:
            return f"content {content!r}"
        return f"content of {len(content)} octets, {hashlib.sha256(content).hexdigest()[:8]}"
