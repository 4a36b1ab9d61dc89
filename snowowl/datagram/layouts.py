"""How the kernel lays out what `recvmmsg` and `sendmmsg` work on, by platform.

`struct mmsghdr` is a `struct msghdr` and the length of the message.  The layouts are those of the
C headers in native alignment, so that 32-bit machines have theirs too.  Nothing here calls anything.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

IOV: Final = struct.Struct("@PN")
"""`struct iovec`: address, length."""

CMSG_ALIGNMENT: Final = struct.calcsize("@N")
"""Linux aligns ancillary data to a `size_t`; FreeBSD's `_ALIGN` is that on 64-bit machines, too."""

_FAMILY: Final = struct.Struct("=H")

NAME_SIZE: Final = 32
"""Octets left for a socket address: `struct sockaddr_in6` has 28."""


class MessageLayout(NamedTuple):
    """`struct mmsghdr` of one platform."""

    header: struct.Struct
    """msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control, msg_controllen, msg_flags."""
    size: int
    """Octets from one to the next in an array."""
    control_length_at: int
    length_at: int
    """Where msg_len is: 32 bits of it are looked at, more than a datagram can have."""
    cmsg: struct.Struct
    """`struct cmsghdr`: length, level, kind."""
    bsd_names: bool
    """Socket addresses begin with an octet for their length and one for the family."""

    def pick(self, headers: memoryview, at: int) -> memoryview:
        """Return a view of one 32-bit member of each message in an array."""
        return headers.cast("I")[at // 4 :: self.size // 4]


def _layout(header: str, length: str, cmsg: str, *, bsd_names: bool) -> MessageLayout:
    """Return the layout for the members' formats, with the offsets that follow from them."""
    control_at = struct.calcsize("@" + header[:6]) - struct.calcsize("@" + header[5])
    length_at = struct.calcsize("@" + header + "0" + "P" + length) - struct.calcsize("@" + length)
    return MessageLayout(
        header=struct.Struct("@" + header),
        size=struct.calcsize("@" + header + "0P" + length + "0P"),
        control_length_at=control_at + _low_half(header[5]),
        length_at=length_at + _low_half(length),
        cmsg=struct.Struct("@" + cmsg),
        bsd_names=bsd_names,
    )


def _low_half(member: str) -> int:
    """Return where in a member its low 32 bits are."""
    one = struct.pack("@" + member, 1)
    return one.index(1) // 4 * 4


LINUX: Final = _layout("PIPNPNi", "I", "Nii", bsd_names=False)
"""<linux/socket.h>: msg_iovlen and msg_controllen are `size_t`, msg_len is an `unsigned int`."""

FREEBSD: Final = _layout("PIPiPIi", "n", "Iii", bsd_names=True)
"""<sys/socket.h> of FreeBSD 11 and up: msg_iovlen is an `int`, lengths are `socklen_t`, msg_len is
an `ssize_t`."""


def layout_of(platform: str) -> MessageLayout | None:
    """Return the layout of a `sys.platform`, None where there is no `recvmmsg` that we know."""
    if platform == "linux":
        return LINUX
    return FREEBSD if platform.startswith("freebsd") else None


def to_bsd(peer: bytes) -> bytes:
    """Return a socket address as BSD has it (see `snowowl.datagram.address` for ours)."""
    return bytes((len(peer), _FAMILY.unpack_from(peer)[0] & 0xFF)) + peer[2:]


def from_bsd(name: bytes) -> bytes:
    """Return a socket address of BSD's as we have it."""
    return _FAMILY.pack(name[1]) + name[2:]


def pack_ancillary(layout: MessageLayout, ancillary: list[tuple[int, int, bytes]]) -> bytes:
    """Return ancillary data as it goes into msg_control."""
    pieces = []
    for level, kind, data in ancillary:
        head = layout.cmsg.pack(_aligned(layout.cmsg.size) + len(data), level, kind)
        pieces.append(head.ljust(_aligned(layout.cmsg.size), b"\0"))
        pieces.append(data.ljust(_aligned(len(data)), b"\0"))
    return b"".join(pieces)


def unpack_ancillary(layout: MessageLayout, octets: bytes) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data in msg_control; what is cut off is left out."""
    found = []
    offset, head = 0, _aligned(layout.cmsg.size)
    while offset + layout.cmsg.size <= len(octets):
        length, level, kind = layout.cmsg.unpack_from(octets, offset)
        if length < head or offset + length > len(octets):
            break
        found.append((level, kind, octets[offset + head : offset + length]))
        offset += _aligned(length)
    return found


def _aligned(size: int) -> int:
    return (size + CMSG_ALIGNMENT - 1) & ~(CMSG_ALIGNMENT - 1)
