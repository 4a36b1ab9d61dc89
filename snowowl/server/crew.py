"""What a supervisor shares with its workers beside requests: their counts, and the word to reopen.

What a worker had counted stays in the sum when it ends, so that no counter goes back.  Of one that
was killed, what it counted in its last second is lost.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Protocol

from snowowl.observe.families import BY_NAME
from snowowl.observe.metrics import Snapshot, add, part_of, zeros
from snowowl.server.channel import Word


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
    """Read what a worker told; leave out what this version does not know.

    Raises ValueError for what no worker says: one that the network has got hold of might.
    """
    try:
        return {
            name: {key: _numbers(name, key, values) for key, values in samples.items()}
            for name, samples in json.loads(text).items()
            if name in BY_NAME
        }
    except (AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"no counts: {error!r}") from error


@cache
def _zeros() -> Snapshot:
    return zeros()


def _numbers(name: str, key: str, values: list[float]) -> list[float]:
    """Return the values of a sample.  Raises ValueError, TypeError, KeyError if they are none."""
    return [float(value) for value, _ in zip(values, _zeros()[name][key], strict=True)]
