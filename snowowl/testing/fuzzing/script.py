"""What is sent to a server in one trial: a few steps, each of one of a few peers.

Steps say what a peer does, and not what a server must have answered: a script can be played against
any server, and shortened anywhere.  Values only; the text of a script is in `replay`.
"""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.wire.constants import Opcode

PEERS: Final = ("A", "B", "C")
"""Enough for a transfer, a stranger, and somebody who asks at the same time."""

GOOD: Final = "good"
"""The transfer that runs beside a script and must not notice it."""

LISTENING: Final = "listen"
OWN: Final = "own"
DESTINATIONS: Final = (LISTENING, OWN, *PEERS, GOOD)
"""Where octets go: the listening port, the TID that answered this peer, or the one of another peer.

A TID that is not known yet is the listening port."""

DATAGRAM_MAX: Final = 65507
"""Octets that one UDP datagram over IPv4 can hold."""

REPEATS_MAX: Final = 64
WAIT_MAX: Final = 60.0
COUNT_MAX: Final = 1000

DAMAGES: Final[dict[str, tuple[int, int]]] = {
    "twice": (1, 8),  # so many copies more, each after what the last one brought
    "ahead": (-65535, 65535),  # added to the block number
    "cut": (0, 4096),  # octets that are left
    "pad": (1, 4096),  # zero octets more
    "flip": (0, 4096),  # the bit of that number
    "opcode": (0, 65535),  # instead of the right one
    "error": (0, 65535),  # an ERROR of that code instead
    "stranger": (0, 0),  # from another port
    "listen": (0, 0),  # to the listening port
}
"""What can be wrong with an answer, and the range of its number."""


@attrs.frozen
class Send:
    """Send octets."""

    peer: str
    octets: bytes
    to: str = LISTENING


@attrs.frozen
class Follow:
    """Answer correctly, so many packets: ACK what is DATA, send DATA for what is an ACK."""

    peer: str
    count: int = 1


@attrs.frozen
class Answer:
    """Answer the last packet that came, but with something wrong."""

    peer: str
    damage: str
    number: int = 0


@attrs.frozen
class Again:
    """Send the last datagram that went to the listening port once more."""

    peer: str


@attrs.frozen
class Close:
    """Close the port without a word; what the peer does later comes from another."""

    peer: str


@attrs.frozen
class Wait:
    """Let time pass, and hear what comes."""

    seconds: float


Step = Send | Follow | Answer | Again | Close | Wait


@attrs.frozen
class Script:
    """Steps, and how often they are played one after another for the effect to be seen."""

    steps: tuple[Step, ...]
    repeats: int = 1

    @property
    def octets(self) -> int:
        """Return how many octets it sends by itself."""
        return sum(len(step.octets) for step in self.steps if isinstance(step, Send))

    @property
    def weight(self) -> tuple[int, int, int, float, int]:
        """Return what makes it small: of two that show the same, the lighter one is kept."""
        follows = sum(step.count for step in self.steps if isinstance(step, Follow))
        waits = sum(step.seconds for step in self.steps if isinstance(step, Wait))
        odd = sum(
            sum(octet not in _PLAIN for octet in step.octets)
            for step in self.steps
            if isinstance(step, Send)
        )
        return (len(self.steps), self.octets, follows + self.repeats, waits, odd)


_PLAIN: Final = frozenset(b"\0\1\2\3\4\5\6abcdefghijklmnopqrstuvwxyz0123456789/.")

RESERVED: Final = b"snowowl-fuzz-"
"""How the name of an upload begins that was not asked for by `--write`."""

_PATHS: Final = b"/\\%:~|;&$`<>*?"
"""What could lead an upload to another place than the root."""


def is_upload(octets: bytes) -> bool:
    """Say whether any server could take octets for a WRQ: one that reads half an opcode, too."""
    return Opcode.WRQ in octets[:2]


def made_harmless(octets: bytes, name: bytes | None) -> bytes:
    """Return octets that overwrite no file but `name`, whatever a server makes of them.

    What could be a WRQ keeps its shape, but its strings lead nowhere, and its file name is `name` or begins
    with `RESERVED`.  What no datagram can hold is cut off: it could be neither sent nor replayed.
    """
    octets = octets[:DATAGRAM_MAX]
    if not is_upload(octets):
        return octets
    head, filename, rest = octets[:2], *_first_string(octets[2:])
    if name is not None and filename == name:
        return octets
    filename = bytes(octet for octet in filename if octet not in _PATHS).replace(b"..", b"")
    rest = bytes(octet for octet in rest if octet not in _PATHS)
    return head + (RESERVED + filename.removeprefix(RESERVED) + rest)[: DATAGRAM_MAX - 2]


def _first_string(octets: bytes) -> tuple[bytes, bytes]:
    end = octets.find(b"\0")
    return (octets, b"") if end < 0 else (octets[:end], octets[end:])
