"""What `snowowl faults` says to people: the list of faults, a line for each transfer, the summary.

Plain text, the same on a terminal and in a file but for the colours of verdicts.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from snowowl.testing.faults import Judged
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


def summary(transfers: Sequence[Judged], *, colors: bool = False) -> str:
    """Return the table at the end: each fault with its verdicts, and how many of each there were."""
    if not transfers:
        return "no transfer was judged"
    lines = [f"{'verdict':{_VERDICT_WIDTH}}{'fault':{_FAULT_WIDTH}} {'times':>5}  why"]
    counts: dict[tuple[str, str], list[Judged]] = {}
    for one in transfers:
        counts.setdefault((one.fault or "no fault", one.verdict.value), []).append(one)
    for (fault, verdict), several in counts.items():
        reasons = dict.fromkeys(one.why for one in several)
        lines.append(
            f"{verdict_text(verdict, colors=colors)}{fault:{_FAULT_WIDTH}} {len(several):>5}  "
            f"{'; '.join(reasons)}"
        )
    return "\n".join([*lines, "", totals(transfers)])


def totals(transfers: Sequence[Judged]) -> str:
    """Return how many transfers got which verdict."""
    named = ", ".join(f"{count} {verdict}" for verdict, count in tally(transfers).items())
    return f"{len(transfers)} transfer{'' if len(transfers) == 1 else 's'}: {named}"


def tally(transfers: Iterable[Judged]) -> dict[str, int]:
    """Return how often each verdict was given."""
    counts: dict[str, int] = {}
    for one in transfers:
        counts[one.verdict.value] = counts.get(one.verdict.value, 0) + 1
    return counts


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
