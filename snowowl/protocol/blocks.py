"""Block numbers: 16 bits on the wire, absolute indexes everywhere else.

Blocks are counted from 1; index 0 is what ACK 0 acknowledges.  RFC 1350 does not say what follows
block 65535.  Nearly every client goes on with 0; some go on with 1 (the `rollover` option of
tftp-hpa asks for either).
"""

from __future__ import annotations

from typing import Final

NUMBER_MAX: Final = 65535

NEVER: Final = 65536
"""A distance that is larger than any window: no block ahead has that number."""


def number_of(index: int, rollover: int) -> int:
    """Return the number on the wire of the block with this absolute index."""
    if rollover == 0 or index <= NUMBER_MAX:
        return index & 0xFFFF
    return (index - 1) % NUMBER_MAX + 1


def distance(index: int, number: int, rollover: int) -> int:
    """Return how many blocks ahead of `index` the first block with this number lies (0: itself)."""
    if rollover == 0:
        return (number - index) & 0xFFFF
    if index == 0:
        return number
    if number == 0:
        return NEVER
    return (number - index) % NUMBER_MAX


def distance_back(index: int, number: int, rollover: int) -> int:
    """Return how many blocks behind `index` the last block with this number lies (0: itself)."""
    ahead = distance(index, number, rollover)
    if ahead == 0:
        return 0
    if rollover == 0:
        back = 65536 - ahead
        return back if back <= index else NEVER
    back = NUMBER_MAX - ahead  # negative for 0, which no block has
    return back if 0 < back < index else NEVER


def blocks_in(size: int, blksize: int) -> int:
    """Return how many blocks carry `size` octets.

    The last one is always shorter than blksize, and empty where size is a multiple of it
    (RFC 1350 section 6).
    """
    return size // blksize + 1
