"""The list of differences: what is in it, what is wrong with it, and what a run makes of it.

A difference that is listed has a reason, and a reason says who is right, by what, and why snowowl does
as it does.  So neither the list nor the behaviour of snowowl can change without somebody giving one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import attrs
import cattrs

FILE: Final = Path(__file__).with_name("differences.toml")

Right = Literal["snowowl", "peer", "both"]

WHY_MIN: Final = 40
"""Characters of an explanation: less is a word, and explains nothing."""


@attrs.frozen
class Reason:
    """Why two servers differ."""

    right: Right
    """Who does what the source wants; `both` where it leaves the choice."""
    source: str
    """The clause, the rule of real clients (R1 to R14), or what else decides."""
    why: str


@attrs.frozen
class Difference:
    """What was observed with snowowl in a case, and what with a peer."""

    case: str
    peer: str
    snowowl: str
    theirs: str
    reason: str = ""
    """The key of a reason; empty: nobody has given one yet."""

    @property
    def key(self) -> tuple[str, str]:
        return self.case, self.peer


@attrs.frozen
class Listed:
    """The whole list."""

    reasons: dict[str, Reason] = attrs.Factory(dict)
    difference: tuple[Difference, ...] = ()

    def of(self, case: str, peer: str) -> Difference | None:
        """Return the entry for a case and a peer."""
        return next((each for each in self.difference if each.key == (case, peer)), None)


_CONVERTER: Final = cattrs.Converter(forbid_extra_keys=True)


def load(path: Path = FILE) -> Listed:
    """Read a list.  Raises ValueError, with all that is wrong in it, if it is none."""
    try:
        return _CONVERTER.structure(tomllib.loads(path.read_text(encoding="utf-8")), Listed)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    except cattrs.BaseValidationError as error:
        raise ValueError(f"{path}: " + "; ".join(cattrs.transform_error(error))) from None


def faults(listed: Listed, cases: Collection[str], peers: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with a list, whatever the servers do."""
    seen: set[tuple[str, str]] = set()
    for each in listed.difference:
        where = f"{each.case}, {each.peer}"
        if each.case not in cases:
            yield f"{where}: there is no such case"
        if each.peer not in peers:
            yield f"{where}: there is no such peer"
        if each.key in seen:
            yield f"{where}: is there twice"
        if each.snowowl == each.theirs:
            yield f"{where}: is no difference"
        if not each.reason:
            yield f"{where}: has no reason: give one, by its key"
        elif each.reason not in listed.reasons:
            yield f"{where}: there is no reason {each.reason!r}"
        seen.add(each.key)
    used = {each.reason for each in listed.difference}
    for key, reason in listed.reasons.items():
        if key not in used:
            yield f"reason {key}: nothing refers to it"
        if len(reason.why) < WHY_MIN or not reason.source:
            yield f"reason {key}: explains nothing: say who is right, by what, and why"


@attrs.frozen
class Judgement:
    """What a run has shown of one case with one peer."""

    case: str
    peer: str
    snowowl: str
    theirs: str
    entry: Difference | None
    """What the list has about it."""

    @property
    def verdict(self) -> Literal["alike", "explained", "unexplained", "changed", "gone"]:
        """Say what to make of it; `changed`: another difference than the list has."""
        if self.snowowl == self.theirs:
            return "alike" if self.entry is None else "gone"
        if self.entry is None:
            return "unexplained"
        if (self.entry.snowowl, self.entry.theirs) != (self.snowowl, self.theirs):
            return "changed"
        return "explained" if self.entry.reason else "unexplained"

    @property
    def good(self) -> bool:
        """Nothing is to be done about it."""
        return self.verdict in ("alike", "explained")


def judged(observed: dict[str, dict[str, str]], ours: str, listed: Listed) -> Iterator[Judgement]:
    """Yield a judgement for each case and each peer that it was played with."""
    for case, by_server in observed.items():
        for peer, theirs in sorted(by_server.items()):
            if peer != ours and ours in by_server:
                yield Judgement(case, peer, by_server[ours], theirs, listed.of(case, peer))


def revised(listed: Listed, judgements: Iterable[Judgement], order: Sequence[str]) -> Listed:
    """Return the list as it has to be: what changed has no reason yet, what is gone is not there.

    What was not played stays.  Entries stand in the order of the cases.
    """
    entries = {each.key: each for each in listed.difference}
    for each in judgements:
        if each.verdict in ("unexplained", "changed"):
            entry = Difference(each.case, each.peer, each.snowowl, each.theirs)
            entries[entry.key] = entry
        elif each.verdict == "gone":
            del entries[each.case, each.peer]
    places = {case: place for place, case in enumerate(order)}
    ordered = sorted(entries.values(), key=lambda each: (places.get(each.case, -1), each.peer))
    return attrs.evolve(listed, difference=tuple(ordered))


_HEAD: Final = """\
# Where snowowl and a peer differ, and why.  `python -m tests.differential.run --write` adds what is new
# with an empty reason, and takes out what is gone; a reason is written by hand, below, and named by its
# key.  `right` is who does what the source wants: snowowl, peer, or both where it leaves the choice.
"""


def written(listed: Listed) -> str:
    """Return the list as it is in the file."""
    parts = [_HEAD]
    for key, reason in sorted(listed.reasons.items()):
        fields = attrs.asdict(reason)
        parts.append(f"[reasons.{key}]\n" + _fields(fields))
    parts += ["[[difference]]\n" + _fields(attrs.asdict(each)) for each in listed.difference]
    return "\n".join(parts)


def _fields(fields: dict[str, str]) -> str:
    # A string of JSON is a basic string of TOML, as long as nothing beyond the BMP is escaped.
    return "".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items()
    )
