"""The parameters of faults: how they are written, what they may be, and how chance draws them.

A parameter is a field of an attrs class, made by one of the functions here; `Parameter` is what they
leave in its metadata.
"""

from __future__ import annotations

import math
import random
from typing import Final

import attrs

Value = int | float | str

_KEY: Final = "parameter"
_DIGITS_MAX: Final = 12
_REAL_MAX: Final = 16


@attrs.frozen
class Parameter:
    """What one parameter may be."""

    name: str
    default: Value
    help: str
    minimum: float = 0.0
    maximum: float = 0.0
    choices: tuple[str, ...] = ()
    drawn: tuple[float, float] = (0.0, 0.0)

    def parse(self, text: str) -> Value:
        """Return the value that a text stands for.  Raises ValueError that says what it may be."""
        if isinstance(self.default, str):
            if self.choices and text not in self.choices:
                raise ValueError(f"{self.name} must be one of {', '.join(self.choices)}")
            return text
        whole = isinstance(self.default, int)
        kind = "a whole number" if whole else "a number"
        bounds = f"from {_shown(self.minimum)} to {_shown(self.maximum)}"
        wanted = f"{self.name} must be {kind} {bounds}"
        value = _whole(text) if whole else _real(text)
        if value is None or not self.minimum <= value <= self.maximum:
            raise ValueError(wanted)
        return value

    def draw(self, draws: random.Random) -> Value:
        """Return a value by chance."""
        if self.choices:
            return draws.choice(self.choices)
        if isinstance(self.default, str):
            return self.default
        if isinstance(self.default, int):
            return draws.randint(int(self.drawn[0]), int(self.drawn[1]))
        return round(draws.uniform(*self.drawn), 3)


def _shown(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        return None
    return int(text)


def _real(text: str) -> float | None:
    if len(text) > _REAL_MAX or not text.isascii() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def number(
    default: int,
    help_text: str,
    *,
    minimum: int = 0,
    maximum: int = 65535,
    drawn: tuple[int, int] | None = None,
) -> int:
    """Return the field of a whole number."""
    found = Parameter("", default, help_text, minimum, maximum, drawn=drawn or (default, default))
    return attrs.field(default=default, metadata={_KEY: found})


def real(
    default: float,
    help_text: str,
    *,
    minimum: float = 0.0,
    maximum: float = 60.0,
    drawn: tuple[float, float] | None = None,
) -> float:
    """Return the field of a number, of seconds if nothing else is said."""
    found = Parameter("", default, help_text, minimum, maximum, drawn=drawn or (default, default))
    return attrs.field(default=default, metadata={_KEY: found})


def word(default: str, help_text: str, *choices: str) -> str:
    """Return the field of a word: one of some, or any if there are none."""
    found = Parameter("", default, help_text, choices=choices)
    return attrs.field(default=default, metadata={_KEY: found})


def parameters_of(kind: type) -> tuple[Parameter, ...]:
    """Return the parameters of a class, in their order."""
    return tuple(
        attrs.evolve(field.metadata[_KEY], name=field.name)
        for field in attrs.fields(kind)
        if _KEY in field.metadata
    )
