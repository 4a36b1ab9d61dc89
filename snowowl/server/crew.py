"""What a supervisor shares with its workers beside requests: their counts, and the word to reopen.

What a worker had counted stays in the sum when it ends, so that no counter goes back.  Of one that
was killed, what it counted in its last second is lost.
"""

from __future__ import annotations

import json
from typing import Final, Protocol, TypeGuard

from snowowl.observe.families import FAMILIES
from snowowl.observe.metrics import Snapshot, add, part_of
from snowowl.server.channel import Word

COUNT_MAX: Final = 2.0**64
"""More than can be counted, and what a float holds."""


class Hand(Protocol):
    """A worker, as far as it matters here."""

    counts: Snapshot

    def tell(self, word: Word) -> None:
        """Send it a word."""


class Crew:
    """All workers that run, those included that only drain.  It is a source of metrics."""

    def __init__(self) -> None:
        self._hands: dict[Hand, None] = {}
        self._ended: Snapshot = {}

    def __call__(self) -> Snapshot:
        """Return the sum of all that were ever here."""
        total: Snapshot = {}
        add(total, self._ended)
        for hand in self._hands:
            add(total, hand.counts)
        return total

    def join(self, hand: Hand) -> None:
        """Take in one that begins."""
        self._hands[hand] = None

    def leave(self, hand: Hand) -> None:
        """Keep what one has counted that has ended."""
        del self._hands[hand]
        add(self._ended, hand.counts, has_ended=True)

    def reopen(self) -> None:
        """Let each open its files anew."""
        for hand in self._hands:
            hand.tell("reopen")


def encode_counts(snapshot: Snapshot) -> str:
    """Return what a worker tells of its counts."""
    return json.dumps(part_of(snapshot), separators=(",", ":"))


def decode_counts(text: str) -> Snapshot:
    """Read what a worker told; leave out what this version does not know.  Raises ValueError."""
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("counts are no object")  # noqa: TRY004 - what is wrong is a value
    known: Snapshot = {}
    for family in FAMILIES:
        samples = told.get(family.name)
        if not isinstance(samples, dict):
            continue
        length = len(family.zero())
        known[family.name] = {
            key: values
            for key in family.sample_keys()
            if _are_numbers(values := samples.get(key), length)
        }
    return known


def _are_numbers(values: object, length: int) -> TypeGuard[list[float]]:
    return (
        isinstance(values, list)
        and len(values) == length
        and all(type(value) in (int, float) and 0 <= value < COUNT_MAX for value in values)
    )
