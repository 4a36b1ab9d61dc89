"""All faults by name, and how one is written: ``NAME`` or ``NAME:key=value,key=value``.

A comma may stand for the colon: U-Boot and tftp-hpa take what is before a colon for a host.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

import attrs

from snowowl.observe.words import printable
from snowowl.testing.faults import blocks, copies, errors, grants, losses, oacks, tids, windows
from snowowl.testing.faults.model import Fault
from snowowl.testing.faults.parameters import Value, parameters_of

FAULTS: Final[Mapping[str, type[Fault]]] = {
    fault.name: fault
    for module in (losses, copies, tids, grants, oacks, errors, blocks, windows)
    for fault in module.FAULTS
}
"""Every fault, by its name, in the order of `--list`."""

SPEC_MAX: Final = 200
"""Characters of a fault that are read."""


class FaultError(ValueError):
    """A text names no fault, or gives it parameters that it does not have; says what to write."""


@attrs.frozen
class Spec:
    """A fault and its parameters: what is played, again and again."""

    name: str
    values: tuple[tuple[str, Value], ...] = ()

    def make(self, seed: str) -> Fault:
        """Return the fault for one transfer; `seed` decides what chance decides."""
        fault = FAULTS[self.name](**dict(self.values))
        fault.draws = random.Random(seed)  # noqa: S311 - no secret
        return fault

    def __str__(self) -> str:
        if not self.values:
            return self.name
        return f"{self.name}:{','.join(f'{key}={value}' for key, value in self.values)}"


def parse_fault(text: str) -> Spec:
    """Return what ``NAME[:key=value,...]`` stands for.  Raises FaultError."""
    if len(text) > SPEC_MAX:
        raise FaultError(f"a fault has at most {SPEC_MAX} characters, not {len(text)}")
    name, colon, rest = split_name(text)
    kind = FAULTS.get(name)
    if kind is None:
        raise FaultError(f"there is no fault {_quoted(name)}{nearest(name)}")
    known = {parameter.name: parameter for parameter in parameters_of(kind)}
    values: dict[str, Value] = {}
    for pair in rest.split(",") if colon else ():
        key, equals, value = pair.partition("=")
        if key not in known:
            has = f"its parameters are {', '.join(known)}" if known else "it has none"
            raise FaultError(f"{name} has no parameter {_quoted(key)}: {has}")
        if not equals:
            raise FaultError(f"{name}: {key} needs a value, like {key}={known[key].default}")
        if key in values:
            raise FaultError(f"{name}: {key} is given twice")
        try:
            values[key] = known[key].parse(value)
        except ValueError as error:
            raise FaultError(f"{name}: {error}, not {_quoted(value)}") from None
    return Spec(name, tuple(values.items()))


def split_name(text: str) -> tuple[str, str, str]:
    """Return the name, the colon or comma, and the parameters of a fault."""
    name = re.split("[:,]", text, maxsplit=1)[0]
    return name, text[len(name) : len(name) + 1], text[len(name) + 1 :]


def nearest(name: str) -> str:
    """Return a hint at the fault that a name was meant for, empty if there is none."""
    near = get_close_matches(name, FAULTS, n=1)
    return f" (did you mean {near[0]}?)" if near else "; `snowowl faults --list` has them all"


def every_fault(*, costly: bool = False) -> Iterator[Spec]:
    """Yield each fault with each of its examples; those that take minutes only if wanted."""
    for kind in FAULTS.values():
        if costly or not kind.costly:
            for example in kind.examples:
                yield parse_fault(f"{kind.name}:{example}" if example else kind.name)


def random_faults(count: int, seed: str) -> Iterator[Spec]:
    """Yield so many faults with parameters as the seed decides; none that takes minutes."""
    draws = random.Random(seed)  # noqa: S311 - no secret
    kinds = [kind for kind in FAULTS.values() if not kind.costly]
    for _ in range(count):
        kind = draws.choice(kinds)
        values = {parameter.name: parameter.draw(draws) for parameter in parameters_of(kind)}
        pairs = ",".join(f"{key}={value}" for key, value in values.items())
        yield parse_fault(f"{kind.name}:{pairs}" if pairs else kind.name)


def _quoted(text: str) -> str:
    return f"'{printable(text)}'"
