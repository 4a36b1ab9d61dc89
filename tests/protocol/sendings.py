"""Stories of a sender that several test modules begin with."""

from __future__ import annotations

from snowowl.testing.playbook import Playbook, ack, blocks, oack
from tests.protocol.stories import reading

ROUND_TRIP = 0.05


def lock_step(size: int = 2000) -> Playbook:
    """Tell of a read in lock-step, up to the answer to its first block."""
    return (
        Playbook(reading(size))
        .starts()
        .sends(blocks(1, 1))
        .after(ROUND_TRIP)
        .receives(ack(1))
        .sends(blocks(2, 1))
    )


def windowed(windowsize: int = 4, size: int = 199, **options: int) -> Playbook:
    """Tell of a read by windows of blocks of 8 octets, up to its first window."""
    return (
        Playbook(reading(size, blksize=8, windowsize=windowsize, **options))
        .starts()
        .sends(oack(blksize=8, windowsize=windowsize, **options))
        .after(ROUND_TRIP)
        .receives(ack(0))
        .sends(blocks(1, windowsize))
    )


def silent(story: Playbook, first: int, last: int) -> Playbook:
    """Tell of a silence in which a probe asked for these blocks, up to its timeout."""
    probe = [blocks(first, 1), blocks(last, 1)] if first < last else [blocks(last, 1)]
    return story.expires().sends(*probe).expires()
