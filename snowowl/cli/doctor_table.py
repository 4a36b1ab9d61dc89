"""What `snowowl doctor` shows: a table on a terminal, a line for each finding elsewhere.

Names of files and processes come from others: they are escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from snowowl.cli.doctor_checks.finding import Finding, Level
from snowowl.config.words import printable

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    Level.OK: "green",
    Level.NOTE: "cyan",
    Level.WARN: "yellow",
    Level.FAIL: "bold red",
}
TOPIC_COLUMNS = 13  # "configuration" is the longest
WIDTH_MAX = 120
"""Columns: wider lines are hard to follow."""


def show(findings: Iterable[Finding]) -> list[Finding]:
    """Print findings as they come, and return them."""
    from rich.console import Console

    console = Console(highlight=False)
    found = []
    for finding in findings:
        found.append(finding)
        if console.is_terminal:
            _row(console, finding)
        else:
            console.print(line(finding), markup=False, soft_wrap=True)
    last = summary(found)
    console.print(last if not console.is_terminal else f"\n{last}", markup=False, soft_wrap=True)
    return found


def _row(console: Console, finding: Finding) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=4, no_wrap=True)
    table.add_column(width=TOPIC_COLUMNS, no_wrap=True)
    table.add_column(ratio=1)
    words = Text(printable(finding.message))
    if finding.advice:
        words.append(f"\n-> {printable(finding.advice)}", style="bold" if _bad(finding) else "dim")
    table.add_row(
        Text(finding.level.value, style=_STYLES[finding.level]), Text(finding.topic), words
    )
    console.print(table, width=min(console.width, WIDTH_MAX))


def _bad(finding: Finding) -> bool:
    return finding.level in (Level.WARN, Level.FAIL)


def line(finding: Finding) -> str:
    """Return a finding as one line."""
    advice = f" -> {printable(finding.advice)}" if finding.advice else ""
    return f"{finding.level.value:4} {finding.topic}: {printable(finding.message)}{advice}"


def summary(found: list[Finding]) -> str:
    """Count the findings."""
    counts = Counter(finding.level for finding in found)
    if counts[Level.FAIL]:
        return f"{_times(counts[Level.FAIL], 'thing')} to be mended, {_others(counts)}."
    return f"Ready to serve: {_others(counts)}."


def _others(counts: Counter[Level]) -> str:
    return ", ".join(_parts(counts))


def _parts(counts: Counter[Level]) -> Iterator[str]:
    yield _times(counts[Level.WARN], "warning")
    yield _times(counts[Level.NOTE], "note")
    yield f"{counts[Level.OK]} OK"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
