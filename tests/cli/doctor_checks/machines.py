"""Machines made of a folder: what /proc and /sys would say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snowowl.cli.doctor_checks.finding import Finding, Level, Subject
from snowowl.cli.doctor_checks.machine import Machine
from snowowl.config import Change, override
from snowowl.config.model import Config


def machine(
    root: Path,
    files: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    euid: int = 1000,
) -> Machine:
    """Return a machine that has these files, and nothing else."""
    for name, content in (files or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(content))
    return Machine(root=root, environ=environ or {}, euid=euid)


def configured(**keys: object) -> Config:
    """Return a configuration: `server__tid="own"`."""
    return override(
        Config(), [Change(key.replace("__", "."), value, key) for key, value in keys.items()]
    )


def subject(at: Machine, **keys: object) -> Subject:
    return Subject(config=configured(**keys), machine=at)


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]
