"""What tells two runs on a simulated network apart: a digest of all that was sent, and when."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from snowowl.testing.link import Datagram

_TIMES: Final = struct.Struct("<dI")


class TraceDigest:
    """Digests datagrams as they are sent; append it to `SimNetwork.watchers`."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def __call__(self, datagram: Datagram) -> None:
        """Take in a datagram: when it was sent, from where to where, its octets, when each copy comes."""
        self.datagrams += 1
        update = self._hash.update
        update(_TIMES.pack(datagram.sent_at, len(datagram.octets)))
        update(datagram.source)
        update(datagram.target)
        update(datagram.octets)
        update(struct.pack(f"<{len(datagram.arrivals)}d", *datagram.arrivals))

    @property
    def digest(self) -> str:
        """Return the digest so far, as 32 hexadecimal digits."""
        return self._hash.hexdigest()
