"""What simulated kernels refuse: to send, to receive, to open.  Probabilities and draws only."""

from __future__ import annotations

import errno
import random
from typing import Final

import attrs

_SENDING: Final = (
    ("blocked", errno.EAGAIN),
    ("no_buffers", errno.ENOBUFS),
    ("forbidden", errno.EPERM),
    ("too_large", errno.EMSGSIZE),
)
_OPENING: Final = (("no_descriptors", errno.EMFILE), ("no_ports", errno.EADDRINUSE))


@attrs.frozen(kw_only=True)
class KernelFaults:
    """How often the kernel of a host refuses: probabilities from 0 to 1, for each call anew."""

    blocked: float = 0.0
    """EAGAIN: the send buffer is full, for a moment."""
    no_buffers: float = 0.0
    """ENOBUFS: the datagram is lost."""
    forbidden: float = 0.0
    """EPERM: a packet filter's answer; the datagram is lost."""
    too_large: float = 0.0
    """EMSGSIZE: what was to be sent does not fit the route."""
    trains: float = 0.0
    """EIO: the device cannot cut a train (GSO); its datagrams go out one by one."""
    receiving: float = 0.0
    """The socket reports an error instead of what has arrived, which waits."""
    stalls: float = 0.0
    """The process is not scheduled when something arrives: a machine with too much to do."""
    stall_seconds: float = 0.1
    """For how long that is, at most."""
    no_descriptors: float = 0.0
    """EMFILE: no socket can be opened."""
    no_ports: float = 0.0
    """EADDRINUSE: no port is free."""

    def sending(self, draws: random.Random) -> int | None:
        """Return the errno with which a datagram is refused, or None."""
        return self._drawn(_SENDING, draws)

    def opening(self, draws: random.Random) -> int | None:
        """Return the errno with which a socket is refused, or None."""
        return self._drawn(_OPENING, draws)

    def _drawn(self, faults: tuple[tuple[str, int], ...], draws: random.Random) -> int | None:
        # No draw for what cannot happen: runs without faults stay as they are when faults are added.
        for name, number in faults:
            probability: float = getattr(self, name)
            if probability and draws.random() < probability:
                return number
        return None


NO_FAULTS: Final = KernelFaults()


@attrs.frozen
class ReceiveBuffer:
    """What a socket holds until it is read; what does not fit is dropped and counted.

    32 datagrams are what the driver of a virtio card has in U-Boot, one of 1500 octets is all that a
    small boot ROM has.
    """

    octets: float = float("inf")
    """Octets of payload."""
    datagrams: float = float("inf")
