"""Token buckets, and tables of bounded size for what is known of sources: all that a flood may cost.

A bucket is one number: when it will be full again.  So it needs no refilling, and one that is full
says nothing, and may be forgotten (the virtual scheduling of ITU-T I.371, "GCRA").

No clock is read here: `now` is an argument, in seconds, and never goes back.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import attrs

ALWAYS_FULL: Final = -float("inf")
"""What a bucket begins with."""

_SLACK: Final = 1 / 1024
"""Of a token: what the sum of a thousand intervals may be off, on a clock that shows weeks."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


@attrs.frozen
class Rate:
    """So many tokens a second in the long run, and so many at once.

    It works on the number that a bucket is, and gives back the next one: a source has several
    buckets, and there are many sources.  To put a token back, subtract `interval`; a full one stays so.
    """

    interval: float
    """Seconds from one token to the next; 0: no limit."""
    depth: float
    """Seconds until an empty bucket is full."""

    @classmethod
    def of(cls, per_second: float, at_once: float) -> Rate:
        """Return a rate; `at_once` counts tokens, at least one.  No tokens a second: no limit."""
        if per_second <= 0:
            return cls(0.0, 0.0)
        return cls(1 / per_second, max(at_once, 1.0) / per_second)

    def take(
        self, full_at: float, now: float, *, tokens: int = 1, reserve: float = 0.0
    ) -> float | None:
        """Return the bucket without some tokens, None if it has not so many.

        `reserve` is the part of the bucket, from 0 to 1, that must be left.
        """
        after = max(now, full_at) + self.interval * tokens
        limit = self.depth * (1.0 - reserve) + self.interval * _SLACK
        return after if after - now <= limit else None


class Recent(Generic[_Key, _Value]):
    """A dict that forgets what was not touched for long, once there is too much.

    Two generations: what is touched goes to the young one; when that is full it becomes the old one,
    and what was old is forgotten.  So nothing is looked through, ever, and between one and two times
    `generation_max` of the latest are known.
    """

    __slots__ = ("_generation_max", "_old", "_young")

    def __init__(self, generation_max: int) -> None:
        self._generation_max = generation_max
        self._young: dict[_Key, _Value] = {}
        self._old: dict[_Key, _Value] = {}

    def __len__(self) -> int:
        """Return how many entries are held, which may be a few less than are known twice."""
        return len(self._young) + len(self._old)

    def get(self, key: _Key) -> _Value | None:
        """Return what is known, and remember it longer."""
        value = self._young.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: _Key, value: _Value) -> None:
        """Remember something."""
        young = self._young
        if len(young) >= self._generation_max and key not in young:
            self._old = young
            young = self._young = {}
        young[key] = value

    def pop(self, key: _Key) -> _Value | None:
        """Forget something, and return it."""
        value = self._young.pop(key, None)
        old = self._old.pop(key, None)
        return old if value is None else value


class SeenLately:
    """Who has asked lately, in vain: some seconds of a flood, in eight octets a cell for any flood.

    Each cell holds a few bits of who was seen there last, and the second.  Who comes to the same cell
    overwrites it: so it forgets some, and it hardly ever takes one for another.
    """

    __slots__ = ("_cells", "_mask", "_salt", "_seconds_max")

    def __init__(self, cells: int, seconds_max: int, salt: int) -> None:
        """Make a table of `cells`, a power of two.  `salt` is what nobody outside must know."""
        assert cells & (cells - 1) == 0
        self._cells: memoryview | None = None
        self._mask = cells - 1
        self._seconds_max = seconds_max
        self._salt = salt

    def note(self, source: bytes, now: float) -> bool:
        """Say whether a source was seen in the last seconds but not this very one, and note it.

        The first time counts, for as long as it lasts: who asks all the time does not begin anew.
        """
        cells = self._cells
        if cells is None:  # most servers never need it
            cells = self._cells = memoryview(bytearray(8 * (self._mask + 1))).cast("Q")
        code = hash((self._salt, int.from_bytes(source, "big"), len(source)))
        index, mark = code & self._mask, (code >> 24) & 0xFFFF
        second = int(now) + 1
        known, since = cells[index] & 0xFFFF, cells[index] >> 16
        if since and known == mark and second - since <= self._seconds_max:
            return second > since
        cells[index] = second << 16 | mark
        return False
