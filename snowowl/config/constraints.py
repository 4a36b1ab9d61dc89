"""Marks that stand in `Annotated[...]` and say more about a value than its type.

A mark is data: the loader checks it, the JSON Schema and the commented default file print it.
Nothing here may know where a value came from.
"""

from __future__ import annotations

from collections.abc import Callable, Sized

import attrs

from snowowl.config.words import show


@attrs.frozen
class Range:
    """A number from `minimum` to `maximum`, both included; `zero` allows 0 beside them."""

    minimum: float
    maximum: float
    zero: bool = attrs.field(default=False, kw_only=True)

    def fault(self, value: object, given: object) -> str | None:
        """Say what is wrong with the value, or None; `given` is how its author wrote it."""
        if isinstance(value, (int, float)) and (
            self.minimum <= value <= self.maximum or (self.zero and value == 0)
        ):  # a NaN is in no range
            return None
        return f"must be {self.words()}, not {show(given)}"

    def words(self) -> str:
        """Describe the range for people."""
        return f"from {self.minimum} to {self.maximum}" + (", or 0" if self.zero else "")


@attrs.frozen
class Items:
    """An array of at least `minimum` elements."""

    minimum: int

    def fault(self, value: object, given: object) -> str | None:  # noqa: ARG002 - one signature
        """Say what is wrong with the value, or None."""
        if isinstance(value, Sized) and len(value) >= self.minimum:
            return None
        return f"must have at least {self.minimum} element{'s' if self.minimum > 1 else ''}"


@attrs.frozen
class Check:
    """Text that a function understands; the function raises ValueError with the whole message."""

    function: Callable[[str], object]

    def fault(self, value: object, given: object) -> str | None:  # noqa: ARG002 - one signature
        """Say what is wrong with the value, or None."""
        try:
            self.function(str(value))
        except ValueError as error:
            return str(error)
        return None


def check_text(text: str) -> None:
    """Refuse text that no file of this format can hold, or that no file name can be.

    Raises ValueError.  An undecodable octet of an environment variable or an argument arrives as
    a lone surrogate, which TOML (UTF-8 by definition) has no way to write.
    """
    if not text:
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError(f"must not contain a NUL character: {show(text)}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"is not valid UTF-8: {show(text)}")
