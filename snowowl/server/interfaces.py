"""The addresses of this machine, for a server that listens on all of them.  Linux; nothing elsewhere."""

from __future__ import annotations

import array
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_SIOCGIFCONF: Final = 0x8912  # linux/sockios.h
_IFCONF: Final = struct.Struct("@iP")
_IFREQ_SIZE: Final = 16 + struct.calcsize("@LLHBBB0L")
"""`struct ifreq` (netdevice(7)): a name of 16 octets, and a union whose largest member is an `ifmap`."""
_ADDRESS_AT: Final = 16 + 4
"""The name, then the family and the port of a `struct sockaddr_in`."""
_ADDRESSES_MAX: Final = 4096
_IF_INET6: Final = Path("/proc/net/if_inet6")


def machine_addresses() -> tuple[bytes, ...]:
    """Return every address that an interface has now, in 4 or 16 octets.

    What cannot be found out is left out.
    """
    if sys.platform != "linux":
        return ()
    found: dict[bytes, None] = {}
    with suppress(OSError):
        found |= dict.fromkeys(_ipv4())
    with suppress(OSError, ValueError):
        for line in _IF_INET6.read_text("ascii").splitlines():
            found[bytes.fromhex(line.split()[0])] = None
    return tuple(found)


def _ipv4() -> list[bytes]:
    """Return the IPv4 addresses.  Raises OSError."""
    import fcntl

    room = array.array("B", bytes(_IFREQ_SIZE * _ADDRESSES_MAX))
    place, size = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, _SIOCGIFCONF, _IFCONF.pack(size, place))
    length: int = _IFCONF.unpack(answer)[0]
    octets = room.tobytes()
    return [octets[at + _ADDRESS_AT : at + _ADDRESS_AT + 4] for at in range(0, length, _IFREQ_SIZE)]
