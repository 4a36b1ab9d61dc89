"""Which fault is played in which transfer.

A name goes before the plan: if the first component of a file's name is a fault, that one is played and
the rest is the file, and the plan does not move on.  Else each transfer gets the next fault of the plan
that its request allows: what cannot be played (it is for uploads, say) waits for a request that allows
it.  When all were played, a plan that repeats begins again, and else transfers go without.  A plan that
is for once gives each transfer a fault, one that cannot be played if there is no other: so it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from snowowl.observe.events import Direction
from snowowl.testing.faults.catalog import (
    FAULTS,
    FaultError,
    Spec,
    nearest,
    parse_fault,
    split_name,
)
from snowowl.wire.packets import Options


@attrs.frozen
class Choice:
    """What is played in one transfer."""

    spec: Spec | None
    filename: bytes
    """The file that is meant, without the fault."""


class Plan:
    """The faults that are still to be played."""

    def __init__(self, specs: Iterable[Spec], *, repeats: bool = False, once: bool = False) -> None:
        self._specs = tuple(specs)
        self._left = deque(self._specs)
        self._repeats = repeats
        self._once = once

    @property
    def left(self) -> tuple[Spec, ...]:
        """Return what is still to be played."""
        return tuple(self._left)

    def choose(self, filename: bytes, direction: Direction, options: Options) -> Choice:
        """Return what to play in the transfer of a request.  Raises FaultError for its name."""
        named = by_name(filename)
        if named is not None:
            return named
        spec = self._take(direction, options)
        if spec is None and self._once and self._left:
            spec = self._left.popleft()
        elif spec is None and self._repeats:
            self._left.extend(spec for spec in self._specs if spec not in self._left)
            spec = self._take(direction, options)
            if spec is None and self._specs:  # none can be played: it is said why
                spec = self._specs[0]
        return Choice(spec, filename)

    def _take(self, direction: Direction, options: Options) -> Spec | None:
        for spec in self._left:
            if not spec.make("").unreachable(direction, options):
                self._left.remove(spec)
                return spec
        return None


def by_name(filename: bytes) -> Choice | None:
    """Return the fault that a file's name begins with, and the file.

    None if it begins with none.  Raises FaultError for one that is written wrongly.
    """
    first, slash, rest = filename.lstrip(b"/").partition(b"/")
    if not slash or not rest.strip(b"/"):
        return None
    text = first.decode("ascii", "replace")
    name, colon, parameters = split_name(text)
    if name not in FAULTS:
        if colon and "=" in parameters and (hint := nearest(name)):
            raise FaultError(f"there is no fault '{name[:40]}'{hint}")
        return None
    return Choice(parse_fault(text), rest)
