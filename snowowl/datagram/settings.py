"""What may be chosen about sockets, as the rings above say it."""

from __future__ import annotations

from typing import Literal

import attrs

Rung = Literal["auto", "gso", "mmsg", "portable"]


@attrs.frozen(kw_only=True)
class Settings:
    """How to open endpoints.  What the platform cannot do is done without."""

    rung: Rung = "auto"
    """The fastest way to the kernel that may be used: `gso` sends and receives windows as one (and
    all that `mmsg` does), `mmsg` batches of datagrams, `portable` one datagram a call."""
    recvmmsg: bool = True
    sendmmsg: bool = True
    batch_max: int = 32
    """Datagrams, or windows, in one system call."""
    gso: bool = True
    gro: bool = True
    receive_buffer: int = 4 << 20
    """Octets (SO_RCVBUF), 0 for the system's default.  That is 208 KiB and loses requests when
    about 250 boards ask at once; 4 MiB hold more than a thousand."""
    send_buffer: int = 0
    sendfile: bool = False
    sendfile_file_min: int = 65536
    """Octets that a file must have to be sent by `sendfile`."""
    sendfile_block_min: int = 16384
    """Octets that each datagram's piece of it must have."""
    zerocopy: bool = False
    """MSG_ZEROCOPY, for sends of at least `zerocopy_min` octets."""
    zerocopy_min: int = 8192
