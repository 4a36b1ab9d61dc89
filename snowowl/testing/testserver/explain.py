"""What was wanted of a boot, compared with what was asked for; and, where they differ, in words.

Pure: names and `Transfer`s in, transfers or a message out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, get_args

from snowowl.observe.events import Direction
from snowowl.observe.words import printable
from snowowl.testing.testserver.records import Transfer

Until = Literal["requested", "ended", "complete"]
"""How far a transfer must be: asked for; over, in whatever way; or over and whole."""

SHOWN_MAX: Final = 40
"""Requests, and files, that a message lists: as many as fit a screen."""

_WORDS: Final = {
    ("requested", Direction.READ): "asked for",
    ("ended", Direction.READ): "asked for to the end",
    ("complete", Direction.READ): "fetched completely",
    ("requested", Direction.WRITE): "announced for upload",
    ("ended", Direction.WRITE): "uploaded to the end",
    ("complete", Direction.WRITE): "uploaded completely",
}


def matches(transfer: Transfer, name: str) -> bool:
    """Say whether a transfer is of a file: a name, or a pattern of shells (`pxelinux.cfg/*`)."""
    wanted = name.lstrip("/")  # the name of a transfer has none, unless it cannot be a file's
    return transfer.name in (name, wanted) or fnmatchcase(transfer.name, wanted)


def check_until(until: str) -> None:
    """Raise ValueError unless it is an `Until`."""
    if until not in get_args(Until):
        words = ", ".join(repr(word) for word in get_args(Until))
        raise ValueError(f"until is {until!r}, and can be {words}")


def reached(transfer: Transfer, until: Until) -> bool:
    """Say whether a transfer is that far."""
    return until == "requested" or (transfer.complete if until == "complete" else transfer.ended)


def in_order(
    transfers: Iterable[Transfer], names: Sequence[str], direction: Direction, until: Until
) -> list[Transfer]:
    """Return transfers of these names that were begun in this order, as many names as are there.

    Others may lie between them.
    """
    found: list[Transfer] = []
    for transfer in transfers:
        if len(found) == len(names):
            break
        if (
            transfer.direction is direction
            and matches(transfer, names[len(found)])
            and reached(transfer, until)
        ):
            found.append(transfer)
    return found


def missing(
    transfers: Sequence[Transfer],
    names: Sequence[str],
    direction: Direction,
    until: Until,
    *,
    within: float | None,
    files: Iterable[str],
) -> str:
    """Say which of these names was not asked for as wanted, and why, as far as that can be known."""
    found = in_order(transfers, names, direction, until)
    name = names[len(found)]
    head = f"{name} was not {_WORDS[until, direction]}"
    if found:
        head += f" after {', '.join(transfer.name for transfer in found)}"
    if within is not None:
        head += f" within {within:g} s"
    return "\n".join([f"{head}.", *_reasons(transfers, name, direction, until, list(files))])


def unwanted(transfers: Sequence[Transfer], names: Sequence[str]) -> str | None:
    """Say what was asked for of these names; None if nothing was."""
    asked = [transfer for transfer in transfers if any(matches(transfer, name) for name in names)]
    distinct = dict.fromkeys(printable(transfer.name) for transfer in asked)
    return f"{', '.join(distinct)} was asked for." if asked else None


def listing(transfers: Sequence[Transfer], address: str, noise: str) -> list[str]:
    """Return lines that say all that came to an address; `noise` is about what was no request."""
    noises = [f"{noise}."] if noise else []
    if not transfers:
        return [
            f"Nothing at all was asked for at {address}.",
            *noises,
            "Does the client reach this address, and does it ask at this port?",
            "Boot loaders ask at port 69 unless they are told otherwise.",
            "127.0.0.1 is reached from this machine alone.",
        ]
    left_out = len(transfers) - SHOWN_MAX
    more = [f"  ... and {left_out} before"] if left_out > 0 else []
    shown = [f"  {transfer}" for transfer in transfers[-SHOWN_MAX:]]
    return [f"What was asked for at {address}:", *more, *shown, *noises]


def _reasons(
    transfers: Sequence[Transfer], name: str, direction: Direction, until: Until, files: list[str]
) -> list[str]:
    """Return lines that say why, as far as that can be known."""
    alike = [each for each in transfers if each.direction is direction and matches(each, name)]
    if alike and until != "requested" and not any(reached(each, until) for each in alike):
        running = sum(not each.ended for each in alike)
        if running:
            return [f"{running} of its {len(alike)} transfers still run."]
        return ["It was asked for, see below how that ended."]
    if alike:
        return ["It was asked for, but not in this order."]
    lines: list[str] = []
    names = list(dict.fromkeys(each.name for each in transfers if each.direction is direction))
    close = difflib.get_close_matches(name, names, n=2) or [
        other for other in names if other.lower().endswith(name.lower())
    ]
    if close:
        lines.append(f"Is it another name for {' or '.join(map(printable, close))}?")
    is_pattern = any(char in name for char in "*?[")
    if direction is Direction.READ and name.lstrip("/") not in files and not is_pattern:
        served = [printable(file) for file in sorted(files)]
        more = [f"and {len(served) - SHOWN_MAX} more"] if len(served) > SHOWN_MAX else []
        text = ", ".join([*served[:SHOWN_MAX], *more]) or "none"
        lines.append(f"No file of this name is served; the files are: {text}.")
    return lines
