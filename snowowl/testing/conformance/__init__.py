"""A conformance suite for TFTP servers, clause by clause; for any server, not for ours.

    snowowl conformance tftp://HOST[:PORT] --read NAME [--write 'up-{}']

or, from a program (the command is a layer above this package):

    report = await run_suite(network, Target(address=..., read=b"name"), choose(all_cases()))

`python -m snowowl.testing.conformance` starts the command.

A case is a scripted client: it sends what it likes, hears what comes, and comes to one of four
verdicts, which `snowowl.testing.conformance.verdicts` defines.  Nothing here knows any server: what is
taken into account (its options, its file, its timers) is learnt from its answers, in `learn`.

How to add a case
=================

1. Find the clause.  If no RFC has it, name the client that needs it: then it is `Level.PRACTICE`.
2. Write a coroutine function in the module of the clause's RFC, under `@case(id, clause, level, text)`.
   The text is one sentence and says what must be true.  The id is never changed again.
3. Take clients from `stage.client()`: each has a port of its own and ends its transfer by itself.  Use
   `ask` for the first answer, `expect_data` and `expect_ack` for the next, `read_on` to carry on.
4. Return None for OK, or a remark.  Raise `Deviation` for what is against the clause, `Informed` for what
   the clause leaves open, `Inapplicable` for what cannot be tried.  Say what was expected and what came.
5. Absence is heard by `hear_all(stage.moment)` where an answer would be prompt, `stage.quiet` where a
   timer might send it.  Never assume how long a server waits, nor that it sends nothing by itself.
6. If it sends what might end a server, say `alone=True`.
7. Prove that it can fail: add a server with that fault to `tests/conformance/test_teeth.py`.
"""

from __future__ import annotations

from snowowl.testing.conformance import (
    practice,
    rfc1123,
    rfc1350_errors,
    rfc1350_read,
    rfc2347,
    rfc2348,
    rfc2349,
    rfc7440,
    robustness,
    rollover,
    security,
    writing,
    writing_options,
)
from snowowl.testing.conformance.case import Case
from snowowl.testing.conformance.report import Report, Result
from snowowl.testing.conformance.runner import Runner, Settings, choose, run_suite
from snowowl.testing.conformance.stage import Target
from snowowl.testing.conformance.verdicts import CannotRunError, Level, Verdict

CHAPTERS = tuple(
    module.CHAPTER
    for module in (
        rfc1350_read,
        rfc1350_errors,
        rfc1123,
        rfc2347,
        rfc2348,
        rfc2349,
        rfc7440,
        writing,
        writing_options,
        rollover,
        practice,
        security,
        robustness,
    )
)
"""In the order in which they are reported, and those that run alone in which they run."""


def all_cases() -> list[Case]:
    """Return every case there is."""
    return [case for chapter in CHAPTERS for case in chapter.cases]


__all__ = [
    "CHAPTERS",
    "CannotRunError",
    "Case",
    "Level",
    "Report",
    "Result",
    "Runner",
    "Settings",
    "Target",
    "Verdict",
    "all_cases",
    "choose",
    "run_suite",
]
