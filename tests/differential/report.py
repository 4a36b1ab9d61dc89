"""The tables of a comparison.  Nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from tests.differential.differences import Judgement, Listed

_STYLES: Final = {
    "alike": "green",
    "explained": "green",
    "unexplained": "red",
    "changed": "red",
    "gone": "yellow",
}

_HINTS: Final = {
    "unexplained": "not explained",
    "changed": "not what the list says",
    "gone": "listed, and gone",
}


def rows(judgements: Sequence[Judgement], listed: Listed) -> Iterator[Text]:
    """Yield each judgement as some lines: what either server does, and what the list says."""
    for each in judgements:
        if each.verdict == "alike":
            continue
        text = Text()
        hint = _HINTS.get(each.verdict, "")
        text.append(f"{each.case}, {each.peer}", style="bold")
        text.append(f"  {hint}" if hint else "", style=_STYLES[each.verdict])
        width = max(len(each.peer), len("snowowl"))
        text.append(
            f"\n  {'snowowl':{width}}  {each.snowowl}\n  {each.peer:{width}}  {each.theirs}"
        )
        if each.entry is not None and each.verdict == "changed":
            text.append(f"\n  {'listed':{width}}  {each.entry.snowowl}")
            text.append(f"\n  {'':{width}}  {each.entry.theirs}")
        reason = listed.reasons.get(each.entry.reason) if each.entry is not None else None
        if reason is not None:
            text.append(f"\n  {'reason':{width}}  ")
            text.append(f"{reason.why} ({reason.source}; right: {reason.right})", style="dim")
        yield text


def summary(judgements: Sequence[Judgement], listed: Listed, versions: dict[str, str]) -> Table:
    """Return how many cases came out how, by peer."""
    caption = "explained: by who is right (snowowl, both, the peer); new: not explained"
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    table.add_column("peer", no_wrap=True)
    for column in ("cases", "alike", "explained", "snowowl", "both", "peer", "new", "gone"):
        table.add_column(column, justify="right", no_wrap=True)
    for peer in sorted({each.peer for each in judgements}):
        of_peer = [each for each in judgements if each.peer == peer]
        verdicts = [each.verdict for each in of_peer]
        entries = [each.entry for each in of_peer if each.verdict == "explained"]
        rights = [listed.reasons[entry.reason].right for entry in entries if entry is not None]
        bad = verdicts.count("unexplained") + verdicts.count("changed")
        numbers = (
            *(len(of_peer), verdicts.count("alike"), verdicts.count("explained")),
            *(rights.count("snowowl"), rights.count("both"), rights.count("peer")),
            *(bad, verdicts.count("gone")),
        )
        style = "red" if bad or "gone" in verdicts else ""
        table.add_row(f"{peer} {versions.get(peer, '')}", *map(str, numbers), style=style)
    return table
