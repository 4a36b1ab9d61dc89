"""What nobody should send to a TFTP server: noise, near misses, forgeries."""

from __future__ import annotations

import random

NAMES = (
    b"file3",
    b"../../etc/passwd",
    b"a/../../b",
    b"",
    b"\xff" * 40,
    b"file3\xff\xff",
    b"x" * 300,
)
MODES = (b"octet", b"NetASCII", b"mail", b"", b"binary")
OPTIONS = (
    b"blksize\0008\0",
    b"blksize\0abc\0",
    b"blksize\0",
    b"windowsize\0",
    b"windowsize\00065535\0",
    b"tsize\000-1\0",
    b"tsize\0009999999999999999999999\0",
    b"timeout\000255\0",
    b"rollover\0007\0",
    b"\0\0",
    b"multicast\0\0",
)


def datagram(draws: random.Random) -> bytes:
    """Return one."""
    kind = draws.random()
    if kind < 0.15:
        return draws.randbytes(draws.choice((0, 1, 2, 3, 4, 30, 600)))
    if kind < 0.35:
        opcode = draws.choice((0, 3, 4, 5, 6, 7, 255)).to_bytes(2, "big")
        return opcode + draws.randbytes(draws.choice((0, 2, 20)))
    octets = draws.choice((b"\0\1", b"\0\2")) + draws.choice(NAMES) + b"\0" + draws.choice(MODES)
    octets += b"\0" + b"".join(draws.choices(OPTIONS, k=draws.randrange(4)))
    if draws.random() < 0.3:
        return octets[: draws.randrange(len(octets) + 1)]
    if draws.random() < 0.2:
        flipped = bytearray(octets)
        flipped[draws.randrange(len(octets))] ^= 1 << draws.randrange(8)
        return bytes(flipped)
    return octets
