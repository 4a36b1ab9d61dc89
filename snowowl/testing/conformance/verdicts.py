"""Levels and verdicts: how much a clause asks, and what is said of a server.  No judgement of packets here.

The verdicts are the four of the Autobahn suite.  What a deviation becomes is decided by the level of
its clause and nothing else, unless a case says why it is milder.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Verdict(Enum):
    """What is said of a server about one clause.

    OK: it does what the clause says.  NON_STRICT: it does not, but the clause only recommends, or
    clients can live with it.  INFORMATIONAL: the clause leaves it open, or could not be tried here;
    what was seen is told.  FAILED: it breaks what a client may rely on.
    """

    OK = "OK"
    NON_STRICT = "NON-STRICT"
    INFORMATIONAL = "INFORMATIONAL"
    FAILED = "FAILED"


class Level(Enum):
    """How much a clause asks.

    MUST, SHOULD, MAY: as the RFC puts it; RFC 1350 is older than those words, there a plain statement
    is a MUST, and "should" or "is encouraged" a SHOULD.  PRACTICE: no RFC asks for it, boot clients
    that are in use need it or do better with it.  SAFETY: goes without saying: no datagram ends the
    server, no name leads out of the folder that is served.
    """

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    PRACTICE = "practice"
    SAFETY = "safety"


DEVIATION: Final = {
    Level.MUST: Verdict.FAILED,
    Level.SHOULD: Verdict.NON_STRICT,
    Level.MAY: Verdict.INFORMATIONAL,
    Level.PRACTICE: Verdict.NON_STRICT,
    Level.SAFETY: Verdict.FAILED,
}
"""The verdict on a server that deviates from a clause of a level."""

SEVERITY: Final = (Verdict.OK, Verdict.INFORMATIONAL, Verdict.NON_STRICT, Verdict.FAILED)
"""From the best to the worst."""


class Judged(Exception):  # noqa: N818 - it ends a case, and is no error
    """A case has come to its verdict.  `verdict` is None for that of the clause's level."""

    def __init__(self, said: str, verdict: Verdict | None) -> None:
        super().__init__(said)
        self.said = said
        self.verdict = verdict


class Deviation(Judged):
    """The server does not do what the clause says: the level decides, or `verdict` if it is given."""

    def __init__(self, said: str, verdict: Verdict | None = None) -> None:
        super().__init__(said, verdict)


class Informed(Judged):
    """The clause leaves open what was seen."""

    def __init__(self, said: str) -> None:
        super().__init__(said, Verdict.INFORMATIONAL)


class Inapplicable(Judged):
    """The case cannot be tried on this server, or with this file."""

    def __init__(self, said: str) -> None:
        super().__init__(said, Verdict.INFORMATIONAL)


class CannotRunError(Exception):
    """No case can run; the message says why, and what to do."""


class NobodyListensError(CannotRunError):
    """The port is closed; another address of the host may have one that is open."""
