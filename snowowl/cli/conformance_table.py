"""What `snowowl conformance` shows to people: the cases of each RFC, the verdicts, and the evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType
    from rich.table import Table

    from snowowl.testing.conformance.case import Case
    from snowowl.testing.conformance.report import Report, Result
    from snowowl.testing.conformance.stage import Profile

_STYLES = {"OK": "green", "NON-STRICT": "yellow", "INFORMATIONAL": "cyan", "FAILED": "bold red"}

EVIDENCE_LINES = 12
"""Of a finding, if not all are asked for."""

COLUMNS_MIN = 80
"""Columns beside those of the ids that a table needs: of verdict, and of datagrams as a whole."""

WIDTH_MIN = 40
WIDTH_MAX = 140
"""Columns: wider lines are hard to follow from the verdict to the sentence."""


def console_of_stdout() -> Console:
    """Return a console for stdout; off a terminal its width is not that of one."""
    from rich.console import Console

    console = Console(highlight=False)
    width = console.width if console.is_terminal else _columns()
    console.width = max(WIDTH_MIN, min(width, WIDTH_MAX))
    return console


def _columns() -> int:
    """Return what COLUMNS says, the most if that is nothing."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else WIDTH_MAX


def show_report(console: Console, url: str, report: Report, *, verbose: bool) -> None:
    """Print a report, chapter by chapter."""
    from rich.text import Text

    id_width = max((len(case.id) for case in report.cases), default=0)
    console.print(Text(f"{url}: {_profile(report.profile)}"), soft_wrap=False)
    for title, results in groupby(report.ordered, key=lambda result: result.case.chapter):
        console.print()
        console.print(Text(title, style="bold"))
        if console.width < COLUMNS_MIN + id_width:
            console.print(_list(list(results), verbose=verbose))
        else:
            console.print(_table(list(results), id_width, verbose=verbose))
    console.print()
    for line in summary(report):
        console.print(Text(line))


def show_cases(console: Console, cases: Sequence[Case]) -> None:
    """Print what each case is about."""
    from rich.text import Text

    for title, group in groupby(cases, key=lambda case: case.chapter):
        table = _grid()
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1)
        for case in group:
            marks = " (long)" if case.long else ""
            table.add_row(
                Text(case.id), Text(case.level.value), Text(f"{case.text} [{case.clause}]{marks}")
            )
        console.print(Text(title, style="bold"))
        console.print(table)
        console.print()


def summary(report: Report) -> Iterator[str]:
    """Yield the lines at the end."""
    from snowowl.observe.words import printable
    from snowowl.testing.conformance.verdicts import Verdict

    counts = {verdict: report.count(verdict) for verdict in Verdict}
    counts[Verdict.INFORMATIONAL] -= report.not_run  # as which they are reported
    counted = [f"{count} {verdict.value}" for verdict, count in counts.items()]
    not_run = f"; {report.not_run} were not run" if report.not_run else ""
    total = len(report.ordered)
    cases = "1 case" if total == 1 else f"{total} cases"
    yield f"{cases} in {report.seconds:.0f} s: {', '.join(counted)}{not_run}"
    if report.died_in:
        yield f"The server no longer answers, since {' or '.join(report.died_in)}."
    if report.stopped:
        yield f"The run was broken off: {report.stopped}."
    if report.written:
        names = ", ".join(printable(name.decode("utf-8", "replace")) for name in report.written[:3])
        more = f" and {len(report.written) - 3} more" if len(report.written) > 3 else ""
        yield f"Left on the server, as TFTP cannot delete: {names}{more}."


def _profile(profile: Profile) -> str:
    options = ", ".join(sorted(profile.granted)) or "none"
    parts = [f"a file of {len(profile.content)} octets", f"options: {options}"]
    parts += ["answers from the listening port"] if profile.single_port else []
    parts += [] if profile.concurrent else ["one client at a time"]
    if profile.retransmits_after is not None:
        parts.append(f"sends again after {profile.retransmits_after:.2f} s")
    return "; ".join(parts)


def _grid() -> Table:
    from rich.table import Table

    return Table.grid(padding=(0, 2, 0, 0), expand=True)


def _table(results: list[Result], id_width: int, *, verbose: bool) -> Table:
    from rich.text import Text

    table = _grid()
    table.add_column(no_wrap=True, min_width=max(map(len, _STYLES)))
    table.add_column(no_wrap=True, min_width=id_width)
    table.add_column(ratio=1)
    for result in results:
        name = result.verdict.value if result.ran else "-"
        style = _STYLES[name] if result.ran else "dim"
        table.add_row(Text(name, style=style), Text(result.case.id), _cell(result, verbose=verbose))
    return table


def _list(results: list[Result], *, verbose: bool) -> RenderableType:
    """Return for narrow terminals what `_table` has in columns, one below the other."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    for result in results:
        name = result.verdict.value if result.ran else "-"
        style = _STYLES[name] if result.ran else "dim"
        parts.append(Text.assemble((name, style), " ", result.case.id))
        parts.append(Padding(_cell(result, verbose=verbose), (0, 0, 0, 2)))
    return Group(*parts)


def _cell(result: Result, *, verbose: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from snowowl.testing.conformance.verdicts import Verdict

    case = result.case
    found = result.verdict in (Verdict.FAILED, Verdict.NON_STRICT)
    parts: list[RenderableType] = []
    if found or verbose:
        parts.append(Text(f"{case.level.value}, {case.clause}: {case.text}"))
    elif result.ran:
        parts.append(Text(case.text))
    if result.said:
        parts.append(Text(result.said, style=_STYLES[result.verdict.value] if found else "dim"))
    if result.first_said:
        parts.append(Text(f"not seen again; the first time: {result.first_said}", style="dim"))
    if found or verbose:
        lines = [str(entry) for entry in result.evidence]
        left_out = len(lines) - EVIDENCE_LINES
        if not verbose and left_out > 0:
            lines = [*lines[: EVIDENCE_LINES // 2], f"... {left_out} more (-v) ..."]
            lines += [str(entry) for entry in result.evidence[-EVIDENCE_LINES // 2 :]]
        parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines]
    return Group(*parts)
