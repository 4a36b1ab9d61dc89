"""Makes a failing seed simpler, for engines that do not: atheris, and the soak.

Greedy, by trying: a call less, an argument shorter.  It knows nothing of what calls mean, so what it
tries may be no seed at all; whoever says whether it still fails answers no to that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from fuzz.seeds import Arg, Call, Seed

SECONDS: Final = 20.0


def reduced(seed: Seed, still_fails: Callable[[Seed], bool], seconds: float = SECONDS) -> Seed:
    """Return a seed that still fails and of which nothing more can be left out, or time was up."""
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for candidate in _simpler(seed):
            if time.monotonic() > end:
                return seed
            if still_fails(candidate):
                seed, progress = candidate, True
                break
    return seed


def _simpler(seed: Seed) -> Iterator[Seed]:
    """Yield seeds that are simpler by one thing, those first that are much simpler."""
    for start, stop in _cuts(len(seed)):
        if stop - start < len(seed):
            yield seed[:start] + seed[stop:]
    for index, step in enumerate(seed):
        for at, value in enumerate(step.args):
            for other in _shorter(value):
                args = (*step.args[:at], other, *step.args[at + 1 :])
                yield (*seed[:index], Call(step.name, args), *seed[index + 1 :])


def _shorter(value: Arg) -> Iterator[Arg]:
    if isinstance(value, int | float):
        yield from (type(value)(other) for other in (0, value // 2) if abs(other) < abs(value))
    elif isinstance(value, bytes):  # noqa: SIM114 - for mypy they are two things
        yield from (value[:start] + value[stop:] for start, stop in _cuts(len(value)))
    elif isinstance(value, str):
        yield from (value[:start] + value[stop:] for start, stop in _cuts(len(value)))
    elif isinstance(value, tuple):
        yield from (value[:start] + value[stop:] for start, stop in _cuts(len(value)))
        for index, part in enumerate(value):
            for other in _shorter(part):
                yield (*value[:index], other, *value[index + 1 :])


def _cuts(length: int) -> Iterator[tuple[int, int]]:
    """Yield what to cut out of a sequence: much at first, and from its end."""
    for size in dict.fromkeys((length, length // 2, length // 4, 1)):
        if 0 < size <= length:
            for start in range(length - size, -1, -size):
                yield start, start + size
