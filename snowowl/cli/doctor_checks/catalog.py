"""All checks, in the order in which they are told."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from snowowl.cli.doctor_checks.confinement import activation, confinement, descriptors
from snowowl.cli.doctor_checks.content import content
from snowowl.cli.doctor_checks.finding import Check, Finding, Subject, note
from snowowl.cli.doctor_checks.firewall import firewall, translation
from snowowl.cli.doctor_checks.network import buffers, datapath, interfaces, reverse_path
from snowowl.cli.doctor_checks.ports import ports
from snowowl.cli.doctor_checks.software import configuration, software
from snowowl.cli.doctor_checks.uploads import uploads
from snowowl.cli.doctor_checks.users import users

CHECKS: tuple[Check, ...] = (
    software,
    configuration,
    ports,
    users,
    content,
    uploads,
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
        from snowowl.cli.doctor_checks.replies import replies

        checks = (*CHECKS, replies)
    for check in checks:
        try:
            yield from check(subject)
        except OSError as error:
            yield note(check.__name__, f"cannot be looked at: {error.strerror or error}")
