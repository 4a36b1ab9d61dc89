"""The results of a run, as data: what the table, JSON and JUnit XML are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from snowowl.testing.conformance.case import Case
from snowowl.testing.conformance.evidence import Entry
from snowowl.testing.conformance.stage import Profile
from snowowl.testing.conformance.verdicts import SEVERITY, Verdict

FORMAT_VERSION = 1
"""Of the JSON: it changes when a key changes its meaning or goes."""


@attrs.frozen(kw_only=True)
class Result:
    """What came of one case."""

    case: Case
    verdict: Verdict
    said: str = ""
    """Why, for all but a plain OK."""
    ran: bool = True
    """The case was played: what was not tried says nothing about the server."""
    seconds: float = 0.0
    evidence: Sequence[Entry] = ()
    first_said: str = ""
    """What a first run said, if a second one came to something milder."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "id": self.case.id,
            "chapter": self.case.chapter,
            "clause": self.case.clause,
            "level": self.case.level.value,
            "requirement": self.case.text,
            "verdict": self.verdict.value,
            "ran": self.ran,
            "said": self.said,
            "first_said": self.first_said,
            "seconds": round(self.seconds, 6),
            "evidence": [entry.as_dict() for entry in self.evidence],
        }


@attrs.define(kw_only=True)
class Report:
    """All of a run; filled while it goes on."""

    cases: Sequence[Case]
    """The cases that were chosen, in their order."""
    profile: Profile = attrs.field(factory=Profile)
    results: dict[str, Result] = attrs.field(factory=dict)
    """By the id of the case."""
    died_in: tuple[str, ...] = ()
    """The case after which the server did not answer any more, or those that ran at that time."""
    stopped: str = ""
    """Why the run was broken off, if it was."""
    written: list[bytes] = attrs.field(factory=list)
    """Names that may be left on the server: TFTP cannot delete."""
    seconds: float = 0.0

    @property
    def ordered(self) -> list[Result]:
        """Return the results in the order of the cases."""
        return [self.results[case.id] for case in self.cases if case.id in self.results]

    def count(self, verdict: Verdict) -> int:
        """Return how many cases have a verdict."""
        return sum(result.verdict is verdict for result in self.ordered)

    @property
    def not_run(self) -> int:
        """Return how many cases were not played."""
        return sum(not result.ran for result in self.ordered)

    def findings(self, *, strict: bool = False) -> list[Result]:
        """Return what counts as a finding: FAILED, and NON-STRICT too if strict."""
        bad = {Verdict.FAILED, Verdict.NON_STRICT} if strict else {Verdict.FAILED}
        return [result for result in self.ordered if result.verdict in bad]

    def passed(self, *, strict: bool = False) -> bool:
        """Say whether there are no findings, and the run was not broken off."""
        return not self.findings(strict=strict) and not self.died_in and not self.stopped

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON, without the target, which the caller names."""
        counted = Counter(result.verdict for result in self.ordered)
        return {
            "version": FORMAT_VERSION,
            "server": self.profile.as_dict(),
            "counts": {verdict.value: counted[verdict] for verdict in SEVERITY},
            "not_run": self.not_run,
            "died_in": list(self.died_in),
            "stopped": self.stopped,
            "written": [name.decode("utf-8", "backslashreplace") for name in self.written],
            "seconds": round(self.seconds, 3),
            "cases": [result.as_dict() for result in self.ordered],
        }


def milder(first: Result, second: Result) -> Result:
    """Return what two runs of a case come to: the milder of the two, and what the first one said.

    A lost packet or a busy machine is no finding: a finding can be seen again.
    """
    if SEVERITY.index(second.verdict) >= SEVERITY.index(first.verdict):
        return first
    return attrs.evolve(second, first_said=f"{first.verdict.value}: {first.said}")
