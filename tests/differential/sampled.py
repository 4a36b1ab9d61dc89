"""Read requests with options drawn at random: what each server grants, against what rules predict.

The catalogue has each option at its edges; here they come together.  What a peer answers is predicted
from what snowowl answered and from the peer's own ways, which are few: each is a rule below, and is
explained by a reason of the list of differences.  A prediction that fails is a difference that nobody
knew.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import attrs

from tests.differential.steps import Case, ask, case, hear
from tests.real.harness import rrq

Asked = tuple[tuple[str, str], ...]

FILE_SIZE: Final = 10_000
"""Of `medium`, the file that all ask for."""

DNSMASQ_BLKSIZE_MAX: Final = 2263
BLKSIZE_MAX: Final = 65464
WINDOWSIZE_MAX: Final = 64
"""What snowowl grants by default."""

_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "blksize": ("7", "8", "511", "512", "1024", "1428", "1468", "8192", "65464", "abc"),
    "timeout": ("0", "1", "3", "255", "256", "abc"),
    "tsize": ("0",),
    "windowsize": ("0", "1", "4", "16", "64", "65", "65535", "65536", "abc"),
    "rollover": ("0", "1"),
    "frobnicate": ("1", "yes"),
}

_RANGES: Final = {
    "blksize": (8, BLKSIZE_MAX),
    "timeout": (1, 255),
    "tsize": (0, 1 << 62),
    "windowsize": (1, 65535),
    "rollover": (0, 1),
}


def drawn(generator: random.Random) -> Asked:
    """Return options, each at most once, in any order, sometimes spelt in capitals."""
    names = generator.sample(sorted(_VALUES), generator.randint(1, len(_VALUES)))
    return tuple((name, generator.choice(_VALUES[name])) for name in names)


def _valid(asked: Asked) -> dict[str, int]:
    """Return what is known and in its range (RFC 2348, 2349, 7440)."""
    found: dict[str, int] = {}
    for name, text in asked:
        low, high = _RANGES.get(name, (1, 0))
        if text.isdigit() and low <= int(text) <= high:
            found[name] = FILE_SIZE if name == "tsize" else int(text)
    return found


def by_snowowl(asked: Asked) -> str:
    """Return what snowowl answers: all that is valid, a windowsize up to its bound."""
    granted = _valid(asked)
    if "windowsize" in granted:
        granted["windowsize"] = min(granted["windowsize"], WINDOWSIZE_MAX)
    return _answer(granted)


def by_tftpd_hpa(asked: Asked) -> str:
    """Return what tftpd-hpa answers: no windowsize; ERROR 8 for a number out of its range."""
    for name, text in asked:
        if (
            name in ("blksize", "timeout")
            and text.isdigit()
            and name not in _valid(((name, text),))
        ):
            return "ERROR 8"
    granted = _valid(asked)
    granted.pop("windowsize", None)
    return _answer(granted)


def by_atftpd(asked: Asked) -> str:
    """Return what atftpd answers: no rollover, any windowsize; ERROR 8 for whatever is out of range."""
    granted = _valid(asked)
    if any(
        name in ("blksize", "timeout", "windowsize") and name not in granted for name, _ in asked
    ):
        return "ERROR 8"
    granted.pop("rollover", None)
    return _answer(granted)


def by_dnsmasq(asked: Asked) -> str:
    """Return what dnsmasq answers: blksize of any value from 1 to its buffer, tsize, nothing else."""
    granted: dict[str, int] = {}
    for name, text in asked:
        if name == "blksize":
            number = int(text) if text.isdigit() else 0
            granted[name] = max(1, min(number, DNSMASQ_BLKSIZE_MAX))
        elif name == "tsize":
            granted[name] = FILE_SIZE
    return _answer(granted)


PREDICTIONS: Final[dict[str, Callable[[Asked], str]]] = {
    "snowowl": by_snowowl,
    "snowowl-own": by_snowowl,
    "snowowl-listen": by_snowowl,
    "tftpd-hpa": by_tftpd_hpa,
    "atftpd": by_atftpd,
    "dnsmasq": by_dnsmasq,
}


def _answer(granted: dict[str, int]) -> str:
    if not granted:
        return "DATA 1 (512)"
    return " ".join(["OACK", *sorted(f"{name}={value}" for name, value in granted.items())])


@attrs.frozen
class Sample:
    """A request, as a case of its own."""

    asked: Asked
    case: Case


def samples(seed: int, count: int) -> list[Sample]:
    """Return as many requests; the same for the same seed."""
    generator = random.Random(seed)
    found = []
    for number in range(count):
        asked = drawn(generator)
        words = " ".join(f"{name}={value}" for name, value in asked)
        one = case(f"sample {number} of seed {seed}", words, ask(rrq(b"medium", *asked)), hear())
        found.append(Sample(asked, one))
    return found
