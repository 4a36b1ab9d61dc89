"""The ways in which TFTP servers have failed, what keeps this one from it, and the tests of that.

Each row takes its guard away (`without`), and the row's tests must then fail: so no guard can be lost,
and no test is there for show.  `tests/security/test_checklist.py` does it, and

    python -m tests.security.rows

prints the list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import attrs

from tests.quality.planting import Patch

Without = Callable[[Patch], None]


@attrs.frozen
class Row:
    """One failure of the field."""

    number: int
    """In the field's checklist."""
    failure: str
    """What happened, and to whom."""
    guard: str
    """What keeps it from happening here."""
    tests: tuple[str, ...]
    """Tests (file::name, beneath `tests`) that fail without the guard."""
    without: Without = attrs.field(repr=False)


ROWS: Final[list[Row]] = []


def row(number: int, failure: str, guard: str, *tests: str) -> Callable[[Without], Without]:
    """Register a function that takes the guard of a row away."""

    def register(without: Without) -> Without:
        ROWS.append(Row(number, failure, guard, tests, without))
        return without

    return register


def main() -> None:
    """Print the checklist as a table."""
    from tests.security import guards  # noqa: F401 - registers them

    sys.stdout.write("| row | failure | guard | tests |\n| ---: | --- | --- | --- |\n")
    for each in ROWS:
        tests = "<br>".join(each.tests)
        sys.stdout.write(f"| {each.number} | {each.failure} | {each.guard} | {tests} |\n")


if __name__ == "__main__":
    main()
