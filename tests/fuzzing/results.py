"""What was found in whom, as Markdown: a table, and for each finding its smallest script.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from snowowl.testing.fuzzing.hunt import CONFIRM_TIMES, Found, Result
from snowowl.testing.fuzzing.replay import Record, dumps

Note = Callable[[str, Found], str]
"""Returns what is known of a server's finding."""


@attrs.define
class Row:
    """One server, and what came of each seed."""

    server: str
    version: str
    results: list[Result] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    @property
    def found(self) -> list[Found]:
        """Return each finding once, with the lightest script of all seeds."""
        best: dict[str, Found] = {}
        for result in self.results:
            for found in result.found:
                known = best.get(found.finding.name)
                if known is None or _rank(found) < _rank(known):
                    best[found.finding.name] = found
        return list(best.values())

    def hits(self, name: str) -> list[tuple[int, int, float]]:
        """Return (seed, scripts, seconds) of each seed that found something."""
        return [
            (result.seed, found.at_script, found.after_seconds)
            for result in self.results
            for found in result.found
            if found.finding.name == name
        ]


def _rank(found: Found) -> tuple[int, tuple[int, int, int, float, int]]:
    return -found.confirmed, found.script.weight


def text_of(rows: Sequence[Row], note: Note, seconds: float) -> str:
    """Return the whole page."""
    lines = [
        "# What fuzzing found",
        "",
        "Written by `python -m tests.fuzzing.peers`, which starts each server on loopback and lets",
        f"`snowowl fuzz` loose on it: {seconds:g} s for each of three seeds, half of that once for each way",
        "of snowowl.  A finding was played again three times, more calmly, on a fresh server; how often it",
        "was seen again is said.  What stands under *Note* was looked at by hand (NOTES.toml).",
        "",
        "| server | scripts | datagrams | seconds | restarts | findings |",
        "|---|---:|---:|---:|---:|---|",
        *(_row(row) for row in rows),
        "",
    ]
    for row in rows:
        if row.found:
            lines += [f"## {row.server} {row.version}".rstrip(), ""]
            for found in row.found:
                lines += _section(row, found, note)
    return "\n".join(lines).rstrip() + "\n"


def _row(row: Row) -> str:
    scripts = sum(result.scripts for result in row.results)
    datagrams = sum(result.datagrams for result in row.results)
    seconds = sum(result.seconds for result in row.results)
    restarts = sum(result.restarts for result in row.results)
    by_oracle: dict[str, int] = {}
    for found in row.found:
        name = found.finding.oracle.value
        by_oracle[name] = by_oracle.get(name, 0) + 1
    said = ", ".join(f"{count} {name}" for name, count in by_oracle.items()) or "none"
    said += "".join(f"; {problem}" for problem in row.problems)
    name = f"{row.server} {row.version}".rstrip()
    return f"| {name} | {scripts} | {datagrams} | {seconds:.0f} | {restarts} | {said} |"


def _section(row: Row, found: Found, note: Note) -> list[str]:
    hits = row.hits(found.finding.name)
    after = "; ".join(
        f"seed {seed} after {scripts} scripts, {seconds:.0f} s" for seed, scripts, seconds in hits
    )
    text = dumps(Record(script=found.script)).split("\n\n", 1)[1].strip()
    return [
        f"### {found.finding.name}",
        "",
        f"{_escaped(found.finding.text)}",
        "",
        f"Seen again {found.confirmed} of {CONFIRM_TIMES} times.  Found by {after}.",
        "",
        *(f"    {line}" for line in _shortened(text.splitlines())),
        "",
        f"*Note:* {note(row.server, found) or 'not looked at yet.'}",
        "",
    ]


def _shortened(lines: list[str]) -> list[str]:
    shown = [line if len(line) <= 160 else line[:160] + " ..." for line in lines[:16]]
    return shown + ([f"... {len(lines) - 16} lines more"] if len(lines) > 16 else [])


def _escaped(text: str) -> str:
    """Return text in which Markdown sees nothing to do."""
    return "`" + text.replace("`", "'") + "`"
