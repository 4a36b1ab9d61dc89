"""Numbers of options.  Only what `click` lets through, though no option means it."""

from __future__ import annotations

import math

import click


class FloatRange(click.FloatRange):
    """A range that a number must lie in: NaN, which compares to nothing, lies in none."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with what is wrong with it."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("nan is no number.", param, ctx)
        return number
