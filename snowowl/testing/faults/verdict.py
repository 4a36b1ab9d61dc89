"""From what a client did to a verdict, from the server's point of view."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import attrs

from snowowl.observe.events import Direction
from snowowl.observe.words import printable
from snowowl.testing.faults.conduct import Conduct, Entry, Severity
from snowowl.testing.faults.model import Expect, Fault
from snowowl.wire.packets import Options


class Verdict(Enum):
    """What is to be thought of a client."""

    RECOVERED = "RECOVERED"
    """It has the whole file, or sent it, in spite of the fault."""
    ENDED = "ENDED"
    """It gave up, and was right to."""
    NON_STRICT = "NON-STRICT"
    """It did something that no RFC wants, and that harms nobody here."""
    INFORMATIONAL = "INFORMATIONAL"
    """No RFC says what is right."""
    MISBEHAVED = "MISBEHAVED"
    NOT_REACHED = "NOT REACHED"
    """The fault could not be played in this transfer."""
    CLEAN = "CLEAN"
    """No fault was to be played, and the transfer completed."""


@attrs.frozen
class Judged:
    """A transfer that is over, what was played in it, and what the client made of it."""

    client: str
    direction: Direction
    filename: bytes
    options: Options
    fault: str
    """As `--fault` wants it; empty if none was to be played."""
    verdict: Verdict
    why: str
    did: tuple[str, ...]
    """What the client did, in its order."""
    seconds: float
    sent: int
    heard: int
    growth: float
    """ACKs for each that had a reason, or DATA datagrams for each block: 1 is right."""
    trace: tuple[Entry, ...] = attrs.field(repr=False, eq=False)
    """The datagrams."""

    @property
    def name(self) -> str:
        """Return the file's name for people."""
        return printable(self.filename.decode("utf-8", "backslashreplace"))

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON, without its datagrams."""
        return {
            "client": self.client,
            "request": self.direction.value,
            "file": self.name,
            "options": {
                printable(name.decode("latin-1")): printable(value.decode("latin-1"))
                for name, value in self.options
            },
            "fault": self.fault,
            "verdict": self.verdict.value,
            "why": self.why,
            "did": list(self.did),
            "seconds": round(self.seconds, 3),
            "datagrams_sent": self.sent,
            "datagrams_heard": self.heard,
            "growth": round(self.growth, 3),
        }


def verdict_of(
    fault: Fault | None, conduct: Conduct, unreachable: str, *, endless: bool
) -> tuple[Verdict, str]:
    """Return a verdict, and why.

    `unreachable` is why the fault could not be played, `endless` that the client never stopped.
    """
    remarks = list(conduct.remarks.values())
    for remark in remarks:
        if remark.severity is Severity.WRONG:
            return Verdict.MISBEHAVED, remark.text
    played = fault is not None and fault.reached
    if fault is not None and not played:
        return Verdict.NOT_REACHED, unreachable or "the transfer was over before"
    verdict, why = _by_end(fault, conduct)
    if fault is not None and fault.complaint and verdict is not Verdict.MISBEHAVED:
        verdict, why = Verdict.NON_STRICT, fault.complaint
    mild = (Verdict.RECOVERED, Verdict.ENDED, Verdict.INFORMATIONAL, Verdict.CLEAN)
    if endless and verdict in mild:
        return Verdict.NON_STRICT, "did not give up in all that time"
    if remarks and verdict in mild:
        return Verdict.NON_STRICT, remarks[0].text
    return verdict, why


def _by_end(fault: Fault | None, conduct: Conduct) -> tuple[Verdict, str]:
    completed = conduct.completed
    if fault is None:
        if completed:
            return Verdict.CLEAN, "completed"
        return Verdict.INFORMATIONAL, f"without a fault, {_ending(conduct)}"
    expects = fault.expects
    if expects is Expect.NOTHING:
        return Verdict.INFORMATIONAL, "completed" if completed else _ending(conduct)
    if completed:
        if expects is not Expect.END:
            return Verdict.RECOVERED, "completed"
        if fault.lenient:
            return Verdict.NON_STRICT, "accepted it, and completed"
        return Verdict.MISBEHAVED, "completed, though it cannot have the whole file"
    if expects is not Expect.RECOVER:
        return Verdict.ENDED, _ending(conduct)
    return Verdict.MISBEHAVED, f"{_ending(conduct)}, though the transfer could have completed"


def _ending(conduct: Conduct) -> str:
    if conduct.error_heard is not None:
        code, text = conduct.error_heard
        said = f" ({printable(text)})" if text else ""
        return f"aborted with ERROR {code}{said}"
    if conduct.gone:
        return "closed its port"
    if conduct.asked_anew:
        return "asked anew"
    return "fell silent"


def deeds(conduct: Conduct) -> Iterator[str]:
    """Yield what a client did."""
    if conduct.requests_repeated:
        yield _times("asked again", conduct.requests_repeated)
    if conduct.waits:
        yield _times("retransmitted", conduct.waits)
    for answer in dict.fromkeys(conduct.stray_answers):
        count = conduct.stray_answers.count(answer)
        yield f"answered the stray TID by {answer}{f' ({count} x)' if count > 1 else ''}"
    if conduct.growth > 1.01:
        yield f"growth {conduct.growth:.2f}"
    if conduct.completed:
        yield "completed"
    ending = _ending(conduct)
    if not conduct.completed or conduct.error_heard is not None:
        yield ending


def _times(what: str, waits: list[float]) -> str:
    first = f"{what} after {waits[0]:.1f} s"
    return first if len(waits) == 1 else f"{first}, {len(waits)} x"
