"""What `snowowl faults` says to people: the list of faults, a line for each transfer, the summary.

Plain text, the same on a terminal and in a file but for the colours of verdicts.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import attrs
import click

if TYPE_CHECKING:
    from snowowl.testing.faults import Judged, Verdict
    from snowowl.testing.faults.model import Fault

_COLORS: Final = {
    "RECOVERED": "green",
    "ENDED": "green",
    "NON-STRICT": "yellow",
    "MISBEHAVED": "red",
}
_VERDICT_WIDTH: Final = 13
_FAULT_WIDTH: Final = 28
_WIDTH_MIN: Final = 60

REASONS_MAX: Final = 5
"""Of a row of the table: more are not read."""
GROUPS_MAX: Final = 500
"""Rows of the table: there are fewer faults, but clients choose parameters, too."""


def verdict_text(verdict: str, *, colors: bool) -> str:
    """Return a verdict, padded, in its colour."""
    padded = f"{verdict:{_VERDICT_WIDTH}}"
    color = _COLORS.get(verdict)
    return click.style(padded, fg=color) if colors and color else padded


def transfer_line(judged: Judged, *, colors: bool = False) -> str:
    """Return the line of one transfer."""
    did = "; ".join(judged.did)
    why = "" if judged.why in did else judged.why
    parts = [part for part in (did, why and f"[{why}]") if part]
    return (
        f"{verdict_text(judged.verdict.value, colors=colors)}"
        f"{judged.fault or 'no fault':{_FAULT_WIDTH}} "
        f"{judged.direction.value} from {judged.client} file {judged.name}: {' '.join(parts)}"
    )


@attrs.define
class _Group:
    """Transfers with the same fault and verdict."""

    count: int = 0
    reasons: list[str] = attrs.field(factory=list)
    """The first ones, each once."""
    more: bool = False

    def add(self, why: str) -> None:
        self.count += 1
        if why not in self.reasons:
            self.more = len(self.reasons) == REASONS_MAX
            self.reasons += [] if self.more else [why]


@attrs.define
class Tally:
    """How often each verdict was given, and why: as small after a million transfers."""

    count: int = 0
    verdicts: dict[str, int] = attrs.field(factory=dict)
    _groups: dict[tuple[str, Verdict], _Group] = attrs.field(factory=dict)

    def add(self, one: Judged) -> None:
        """Count a transfer."""
        self.count += 1
        self.verdicts[one.verdict.value] = self.verdicts.get(one.verdict.value, 0) + 1
        key = (one.fault or "no fault", one.verdict)
        if key not in self._groups and len(self._groups) >= GROUPS_MAX:
            key = ("other faults", one.verdict)
        self._groups.setdefault(key, _Group()).add(one.why)

    def totals(self) -> str:
        """Return how many transfers got which verdict."""
        if not self.count:
            return "no transfer was judged"
        named = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        return f"{self.count} transfer{'' if self.count == 1 else 's'}: {named}"

    def summary(self, *, colors: bool = False) -> str:
        """Return the table at the end: each fault with its verdicts, and how many of each there were."""
        if not self.count:
            return self.totals()
        lines = [f"{'verdict':{_VERDICT_WIDTH}}{'fault':{_FAULT_WIDTH}} {'times':>5}  why"]
        for (fault, verdict), group in self._groups.items():
            reasons = [*group.reasons, *(["..."] if group.more else [])]
            lines.append(
                f"{verdict_text(verdict.value, colors=colors)}{fault:{_FAULT_WIDTH}}"
                f" {group.count:>5}  {'; '.join(reasons)}"
            )
        return "\n".join([*lines, "", self.totals()])


def fault_list(faults: Iterable[type[Fault]], width: int) -> str:
    """Return all faults: name, parameters with defaults, clause, what a correct client does."""
    return "\n\n".join("\n".join(_fault_lines(fault, max(width, _WIDTH_MIN))) for fault in faults)


def _fault_lines(fault: type[Fault], width: int) -> Iterator[str]:
    from snowowl.testing.faults.parameters import parameters_of

    only = f", {fault.direction.value} only" if fault.direction is not None else ""
    named = ", only if it is named: it takes long" if fault.costly else ""
    yield f"{fault.name}  ({fault.clause}{only}{named})"
    yield from _wrapped("", fault.what, width)
    for parameter in parameters_of(fault):
        text = parameter.help
        if parameter.choices:
            text += f": {', '.join(parameter.choices)}"
        yield from _wrapped(f"{parameter.name}={parameter.default}  ", text, width)
    yield from _wrapped("A correct client: ", fault.correct, width)


def _wrapped(label: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(label + text, width, initial_indent="    ", subsequent_indent="        ")


def fault_dict(fault: type[Fault]) -> dict[str, object]:
    """Return a fault for JSON."""
    from snowowl.testing.faults.parameters import parameters_of

    return {
        "name": fault.name,
        "what": fault.what,
        "clause": fault.clause,
        "correct": fault.correct,
        "request": fault.direction.value if fault.direction is not None else None,
        "expect": fault.expect.name.lower(),
        "long": fault.costly,
        "examples": [f"{fault.name}:{each}" if each else fault.name for each in fault.examples],
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.default,
                "help": parameter.help,
                "choices": list(parameter.choices),
                "minimum": parameter.minimum,
                "maximum": parameter.maximum,
            }
            if not isinstance(parameter.default, str)
            else {
                "name": parameter.name,
                "default": parameter.default,
                "help": parameter.help,
                "choices": list(parameter.choices),
            }
            for parameter in parameters_of(fault)
        ],
    }
