"""From runs to tables: medians, ratios within a round, verdicts, Markdown.

Pure: results in, text out.  A ratio is taken within each round, where servers ran side by side, and only
then is the median taken: the machine's speed changes from minute to minute.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from tests.bench.results import Result
from tests.bench.scenarios import SCENARIOS, Measure, Scenario

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"
OURS: Final = "snowowl"
LIMIT: Final = "limit"
NOTE_MAX: Final = 90
"""Characters of a note; the log has the rest."""


@attrs.frozen
class Ratio:
    """A median of ratios, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{number(self.median)}x"
        return f"{number(self.median)}x ({number(self.low)}-{number(self.high)})"


@attrs.frozen
class Row:
    """What one scenario came to."""

    scenario: Scenario
    values: dict[str, float]
    """Medians by server; without those that yielded nothing."""
    cpus: dict[str, float]
    problems: dict[str, str]
    notes: dict[str, str]
    best: str
    """The peer with the best value, empty if there is none."""
    rate: Ratio | None
    """Of our value by the best peer's."""
    cpu: Ratio | None
    """Of our CPU by the least of any peer."""
    limit: Ratio | None
    """Of our value by the limit's."""
    verdict: str


def number(value: float) -> str:
    """Return three digits that count: 1234, 123, 12.3, 1.23, 0.12."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _good(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if not result.problem]


def ratio(pairs: Iterable[tuple[float, float]]) -> Ratio | None:
    """Return the ratio of pairs (ours, theirs), one for each round; None if there is none."""
    ratios = [ours / theirs for ours, theirs in pairs if theirs > 0]
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def _rounds(results: Sequence[Result]) -> list[list[Result]]:
    numbers = sorted({result.round for result in results})
    return [[result for result in results if result.round == each] for each in numbers]


def _against(
    results: Sequence[Result], ours: str, others: Sequence[str], *, cpu: bool, most: bool
) -> Ratio | None:
    """Return our ratio to the best of some others, round by round."""
    pairs = []
    for runs in _rounds(_good(results)):
        mine = [run.cpu if cpu else run.value for run in runs if run.server == ours]
        theirs = [run.cpu if cpu else run.value for run in runs if run.server in others]
        if mine and theirs:
            pairs.append((mine[0], max(theirs) if most else min(theirs)))
    return ratio(pairs)


def verdict_of(
    scenario: Scenario,
    rate: Ratio | None,
    cpu: Ratio | None,
    value: float | None,
    *,
    complete: bool,
    problem: str = "",
) -> str:
    """Return "met", or "missed" with what is missing; nothing where nothing is demanded or known."""
    target = scenario.target
    missed = []
    if value is None:
        return f"missed: {problem}" if problem else ""
    if target.value_max is not None and value > target.value_max:
        missed.append(f"more than {target.value_max:g} {scenario.measure.value}")
    if target.rate_ratio_min is not None:
        if rate is None:
            return ""
        if rate.median < target.rate_ratio_min:
            missed.append(f"{scenario.measure.value} below {target.rate_ratio_min:g}x")
    if target.cpu_ratio_max is not None and cpu is not None and cpu.median > target.cpu_ratio_max:
        missed.append(f"CPU above {target.cpu_ratio_max:g}x")
    if target.complete and not complete:
        missed.append("not all complete at once")
    if target == type(target)():
        return ""
    return f"missed: {', '.join(missed)}" if missed else "met"


def note_of(runs: Sequence[Result]) -> str:
    """Return what the median of one server's runs must not be read without."""
    good, failed = _good(runs), [run for run in runs if run.problem]
    if failed and good:
        return f"{len(failed)} of {len(runs)} runs {failed[0].problem}"
    said = [run.note for run in good if run.note]
    return said[len(said) // 2] if said else ""


def row_of(scenario: Scenario, results: Sequence[Result], peers: Sequence[str]) -> Row:
    """Sum up the runs of one scenario."""
    mine = [result for result in results if result.scenario == scenario.key]
    good = _good(mine)
    names = list(dict.fromkeys(result.server for result in mine))
    by_name = {name: [run for run in good if run.server == name] for name in names}
    values = {
        name: statistics.median(r.value for r in runs) for name, runs in by_name.items() if runs
    }
    cpus = {name: statistics.median(r.cpu for r in runs) for name, runs in by_name.items() if runs}
    ranked = [name for name in values if name in peers]
    more = scenario.measure.more_is_better
    best = (max if more else min)(ranked, key=values.__getitem__, default="")
    rate = _against(mine, OURS, peers, cpu=False, most=more) if more else None
    cpu = _against(mine, OURS, peers, cpu=True, most=False) if more else None
    complete = all(run.complete for run in by_name.get(OURS, []))
    problems = {run.server: run.problem for run in mine if run.problem and not by_name[run.server]}
    notes = {name: note_of([run for run in mine if run.server == name]) for name in by_name}
    return Row(
        scenario=scenario,
        values=values,
        cpus=cpus,
        problems=problems,
        notes={name: note for name, note in notes.items() if note},
        best=best,
        rate=rate,
        cpu=cpu,
        limit=_against(mine, OURS, [LIMIT], cpu=False, most=True) if more else None,
        verdict=verdict_of(
            scenario,
            rate,
            cpu,
            values.get(OURS),
            complete=complete,
            problem=problems.get(OURS, "").split(":")[0],
        ),
    )


def rows_of(results: Sequence[Result], peers: Sequence[str]) -> list[Row]:
    """Return a row for each scenario that was run."""
    run = {result.scenario for result in results}
    return [row_of(scenario, results, peers) for scenario in SCENARIOS if scenario.key in run]


def _cell(row: Row, name: str) -> str:
    if name not in row.values:
        return row.problems.get(name, "").split(":")[0]
    cpu = row.cpus[name]
    mark = " *" if name in row.notes else ""
    return number(row.values[name]) + (f" ({number(cpu)})" if cpu else "") + mark


def _unit(scenario: Scenario) -> str:
    match scenario.measure:
        case Measure.RATE:
            return "MB/s (s/GiB)"
        case Measure.TRANSFERS:
            return "transfers/s (us)"
        case Measure.MEMORY:
            return "MB"
        case Measure.CALLS:
            return "calls a block"


def _must(scenario: Scenario) -> str:
    target = scenario.target
    words = []
    if target.rate_ratio_min is not None:
        words.append(f"{target.rate_ratio_min:g}x")
    if target.cpu_ratio_max is not None:
        words.append(f"{target.cpu_ratio_max:g}x CPU")
    if target.value_max is not None:
        words.append(f"at most {target.value_max:g}")
    if target.complete:
        words.append("all complete")
    return ", ".join(words)


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; numbers stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(cell or ' ' for cell in line)} |\n" for line in lines)


def _text(ratio: Ratio | None) -> str:
    return "" if ratio is None else str(ratio)


def whole_table(rows: Sequence[Row], servers: Sequence[str]) -> str:
    """Return all servers in all scenarios, with ratios and verdicts, and the notes below."""
    head = [
        *("scenario", *servers, "to best peer", "CPU to least", "to limit", "must", "verdict"),
    ]
    body = [
        [
            f"{row.scenario.title}; {_unit(row.scenario)}",
            *[_cell(row, name) for name in servers],
            *(_text(row.rate), _text(row.cpu), _text(row.limit)),
            *(_must(row.scenario), row.verdict),
        ]
        for row in rows
    ]
    notes = [
        f"- {row.scenario.title}: {'; '.join(said)}\n"
        for row in rows
        if (said := list(_said(row, servers)))
    ]
    return markdown(head, body) + ("\n\\* and failures:\n\n" + "".join(notes)) * bool(notes)


def _said(row: Row, servers: Sequence[str]) -> Iterator[str]:
    """Yield the notes below a table, and the problems that say more than their cell."""
    for name in servers:
        text = row.notes.get(name, "")
        if ":" in row.problems.get(name, ""):
            text = row.problems[name]
        if text:
            words = " ".join(text.split())
            yield f"{name} {words if len(words) <= NOTE_MAX else words[:NOTE_MAX] + '...'}"


def short_table(rows: Sequence[Row]) -> str:
    """Return snowowl beside the best peer of each scenario."""
    head = ["scenario", "snowowl", "best peer", "ratio", "CPU ratio", "C limit"]
    body = [
        [
            f"{row.scenario.title}; {_unit(row.scenario)}",
            _cell(row, OURS).removesuffix(" *"),
            f"{row.best} {_cell(row, row.best).removesuffix(' *')}" if row.best else "",
            *(_text(row.rate).split(" ")[0], _text(row.cpu).split(" ")[0]),
            _cell(row, LIMIT).removesuffix(" *"),
        ]
        for row in rows
    ]
    return markdown(head, body)


def variants_table(results: Sequence[Result], variants: Sequence[str]) -> str:
    """Return what each feature is worth: each variant beside the default in the same rounds."""
    body = []
    for name in variants:
        for scenario in SCENARIOS:
            runs = [result for result in results if result.scenario == scenario.key]
            row = row_of(scenario, [run for run in runs if run.server in {OURS, name}], [])
            if name not in row.values and name not in row.problems:
                continue
            body.append(
                [
                    name,
                    f"{scenario.title}; {_unit(scenario)}",
                    *(_cell(row, OURS), _cell(row, name)),
                    _text(_against(runs, name, [OURS], cpu=False, most=True)),
                    _text(_against(runs, name, [OURS], cpu=True, most=True)),
                ]
            )
    if not body:
        return ""
    head = ["variant", "scenario", "default", "variant's", "ratio", "CPU ratio"]
    return markdown(head, body)


def replaced(text: str, table: str) -> str:
    """Return a document with what stands between its markers replaced; unchanged without markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"
