"""DATA as the datagram ring sends it: headers out of a table, blocks out of a file."""

from __future__ import annotations

from snowowl.datagram.interface import Region, Train
from snowowl.server.member import Member
from snowowl.wire.codec import data_headers, header_offset
from snowowl.wire.constants import HEADER_SIZE

_HEADERS = (Region(data_headers(0)), Region(data_headers(1)))
"""By what comes after block 65535: 0 or 1."""


def train_of(
    member: Member, body: Region, start: int, length: int, first: int, count: int
) -> Train:
    """Return blocks from absolute index `first` on: `length` octets of `body` from `start` on."""
    terms = member.transfer.terms
    rollover = terms.rollover
    return Train(
        member.peer,
        _HEADERS[rollover],
        header_offset(first, rollover),
        body,
        start,
        length,
        HEADER_SIZE + terms.blksize,
        count,
        member.local,
    )
