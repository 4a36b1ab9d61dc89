"""Plays a recorded script again, and says whether it still shows what was found.  Without hypothesis."""

from __future__ import annotations

from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.replay import Record
from snowowl.testing.fuzzing.target import UnstartableError
from snowowl.testing.fuzzing.trial import GoneError, Trial


async def played_again(trial: Trial, record: Record, times: int) -> tuple[bool, list[Finding]]:
    """Play a script up to so many times; return whether it shows its finding, and all that it showed.

    The shape of a finding may differ: a server's log is not everywhere the same.  The trial is
    prepared already.  Raises `GoneError` or `UnstartableError` if that which is looked for cannot be
    seen here, or the server ended otherwise than as recorded and does not come back.
    """
    wanted = record.finding
    if wanted is not None and wanted.oracle is Oracle.EXHAUSTION:
        if await trial.target.usage() is None:
            raise UnstartableError("what grows is only seen with --pid or --command")
        for _ in range(times):
            if await trial.grows(record.script, wanted):
                return True, [wanted]
        return False, []
    if wanted is not None and wanted.oracle is Oracle.BYSTANDER and not trial.bystands:
        raise UnstartableError("a transfer beside the script needs --read, and a server for two")
    found: dict[Finding, None] = {}
    for count in range(times):
        try:
            found.update(dict.fromkeys(await trial.play(record.script, calm=True)))
        except GoneError:
            if count == 0:
                raise
            break
        if any(wanted is None or _alike(wanted, finding) for finding in found):
            return True, list(found)
    return False, list(found)


def _alike(wanted: Finding, finding: Finding) -> bool:
    crashes = {Oracle.CRASH, Oracle.HANG}
    if wanted.oracle in crashes and finding.oracle in crashes:
        # Whether the process or only its port is seen to be gone depends on who looks.
        return True
    return (wanted.oracle, wanted.rule) == (finding.oracle, finding.rule)
