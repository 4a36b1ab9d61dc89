"""All checks, in the order in which they are told."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

from snowowl.cli.doctor_checks.confinement import activation, confinement, descriptors
from snowowl.cli.doctor_checks.content import content
from snowowl.cli.doctor_checks.finding import Check, Finding, Subject, fail, note
from snowowl.cli.doctor_checks.firewall import firewall, translation
from snowowl.cli.doctor_checks.network import buffers, datapath, interfaces, reverse_path
from snowowl.cli.doctor_checks.outputs import outputs
from snowowl.cli.doctor_checks.ports import ports
from snowowl.cli.doctor_checks.software import configuration, software
from snowowl.cli.doctor_checks.uploads import uploads
from snowowl.cli.doctor_checks.users import users

CHECK_SECONDS = 6.0
"""More than the slowest needs: the self-test ends after four."""

CHECKS: tuple[Check, ...] = (
    software,
    configuration,
    ports,
    users,
    content,
    uploads,
    outputs,
    interfaces,
    buffers,
    datapath,
    firewall,
    translation,
    reverse_path,
    confinement,
    descriptors,
    activation,
)


def examine(subject: Subject) -> Iterator[Finding]:
    """Run every check; one that cannot be made is a note, and no end."""
    checks = CHECKS
    if sys.platform == "linux":
        from snowowl.cli.doctor_checks.access import access
        from snowowl.cli.doctor_checks.replies import replies

        checks = (*CHECKS, access, replies)
    for check in checks:
        yield from _bounded(check, subject)


def _bounded(check: Check, subject: Subject) -> list[Finding]:
    """Run a check in a thread that can be left behind: a network file system may hang for ever."""
    found: list[Finding] = []

    def run() -> None:
        try:
            for finding in check(subject):
                found.append(finding)  # noqa: PERF402 - what came before an error counts
        except OSError as error:
            found.append(note(check.__name__, f"cannot be looked at: {error.strerror or error}"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(CHECK_SECONDS)
    if not thread.is_alive():
        return found
    advice = "a network file system that does not answer? Look with: timeout 5 ls DIR"
    return [*found, fail(check.__name__, f"did not end in {CHECK_SECONDS:g} s", advice)]
