"""What snowowl runs on, and with which configuration."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from snowowl import __version__
from snowowl.cli.doctor_checks.finding import Finding, Subject, note, ok, warn


def software(subject: Subject) -> Iterator[Finding]:
    """Name the versions: what one is asked for first."""
    del subject
    try:
        trio = f", Trio {version('trio')}"
    except PackageNotFoundError:
        trio = ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    said = f"snowowl {__version__}, {python}{trio}, {platform.system()} {platform.release()}"
    if sys.platform == "linux":
        yield ok("software", said)
    else:
        yield note("software", said, "the fast ways to the network are for Linux only")


def configuration(subject: Subject) -> Iterator[Finding]:
    """Repeat what `snowowl config check` warns of."""
    source = subject.file or "defaults, flags and environment"
    for warning in subject.warnings:
        yield warn("configuration", warning, "correct it, or leave it out")
    if not subject.warnings:
        yield ok("configuration", f"valid ({source})")
