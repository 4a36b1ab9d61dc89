"""Datagrams by the million: a seeded generator that costs about as much as what it feeds.

Hypothesis makes some hundred examples a second and shrinks what it finds; a soak needs tens of
thousands, and is repeated by its seed.  A third is grammar with numbers and options at the edges, a
third is captured packets with damage, the rest ACKs and DATA near to where a transfer stands, and noise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from snowowl.testing.strategies import EDGE_NUMBERS, EDGE_VALUES

_NAMES: Final = (b"f", b"kernel", b"empty", b"even", b"dir/f", b"../secret", b"nothing", b"")
_MODES: Final = (b"octet", b"octet", b"netascii", b"OCTET", b"mail", b"octe", b"")
_OPTIONS: Final = (b"blksize", b"windowsize", b"tsize", b"timeout", b"rollover", b"multicast")
_HEAD: Final = 4
_FULL_MAX: Final = 2000
"""A blksize up to which blocks are full; larger ones cost too much to make."""


class Mutator:
    """Draws datagrams from one `random.Random`."""

    def __init__(
        self, kept: Sequence[bytes], draws: random.Random, names: Sequence[bytes] = _NAMES
    ) -> None:
        self._kept = kept
        self._names = names
        self._random = draws.random
        self._bits = draws.getrandbits
        self._choice = draws.choice
        self._octets = draws.randbytes
        self._edges = [number.to_bytes(2, "big") for number in EDGE_NUMBERS]
        self._kinds: tuple[Callable[[], bytes], ...] = (
            self.request,
            self.option_ack,
            self.error,
            self.damaged,
            self.damaged,
            self.kept,
            self.noise,
            self.numbered,
        )

    def datagram(self) -> bytes:
        """Return any datagram."""
        return self._kinds[self._bits(3)]()

    def near(self, number: int, window: int, blksize: int, *, acks: bool) -> bytes:
        """Return an ACK or DATA whose number is mostly the one that is due, or a window from it."""
        bits = self._bits(9)
        shift = bits & 7
        if shift > 4:
            number += (0, 0, 0, 0, 0, window, -1, (bits >> 3) - 32)[shift]
        octets = (number & 0xFFFF).to_bytes(2, "big")
        if acks != (bits & 0x38 == 0):
            return b"\0\4" + octets if bits & 0x1C0 else b"\0\4" + octets + b"\0\0"
        size = bits >> 6
        if size < 5 and blksize <= _FULL_MAX:
            return b"\0\3" + octets + b"d" * blksize
        return b"\0\3" + octets + b"d" * (512, 8, 0, 7, blksize // 2, 513, 511, 1469)[size]

    def kept(self) -> bytes:
        """Return a captured packet as it is."""
        return self._kept[int(self._random() * len(self._kept))]

    def damaged(self) -> bytes:
        """Return a captured packet that was cut, spliced, changed by an octet or a bit, or doubled."""
        octets = self.kept()
        how = self._bits(3)
        at = int(self._random() * (len(octets) + 1))
        if how == 0:
            return octets[:at]
        if how == 1:
            other = self.kept()
            return octets[:at] + other[at:]
        if how == 2:
            return octets[:at] + bytes((self._bits(8),)) + octets[at + 1 :]
        if how == 3 and octets:
            at %= len(octets)
            return octets[:at] + bytes((octets[at] ^ 1 << self._bits(3),)) + octets[at + 1 :]
        if how == 4:
            return octets[:at] + octets[max(0, at - 9) :]
        if how == 5:
            return octets[:2] + self._octets(2) + octets[_HEAD:]
        if how == 6:
            return octets + self._octets(self._bits(4))
        return octets[:at] + self._octets(self._bits(2)) + octets[at:]

    def numbered(self) -> bytes:
        """Return DATA or ACK of any block, the edges more often."""
        bits = self._bits(8)
        number = self._edges[bits % len(self._edges)] if bits & 64 else self._octets(2)
        return (b"\0\3" if bits & 128 else b"\0\4") + number + b"d" * (bits & 63 if bits & 1 else 0)

    def noise(self) -> bytes:
        """Return octets that mean nothing, or next to none."""
        bits = self._bits(6)
        if bits < 32:
            return self._octets(bits)
        return (bits & 15).to_bytes(2, "big") + self._octets(bits & 31)

    def request(self) -> bytes:
        """Return an RRQ or a WRQ with options at the edges of their ranges."""
        return (
            bytes((0, 1 + self._bits(1)))
            + self._choice(self._names)
            + b"\0"
            + (self._choice(_MODES) + b"\0" + self.options())
        )

    def option_ack(self) -> bytes:
        """Return an OACK."""
        return b"\0\6" + self.options()

    def error(self) -> bytes:
        """Return an ERROR, with every kind of end."""
        bits = self._bits(6)
        return b"\0\5\0" + bytes((bits & 15,)) + (b"", b"\0", b"text\0", b"text")[bits >> 4]

    def options(self) -> bytes:
        """Return options as they are on the wire."""
        return b"".join([self._option() for _ in range(self._bits(2))])

    def _option(self) -> bytes:
        name = _OPTIONS[self._bits(3) % len(_OPTIONS)]
        bits = self._bits(5)
        if bits < 16:
            value = b"%d" % EDGE_VALUES[bits % len(EDGE_VALUES)]
        elif bits < 26:
            value = b"%d" % (1 + self._bits(4))
        else:
            value = (b"", b"-1", b"abc", b" 8", b"00000512", b"9" * 30)[bits - 26]
        return name + b"\0" + value + b"\0"
