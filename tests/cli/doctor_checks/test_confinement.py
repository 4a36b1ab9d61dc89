"""Landlock, privileges, descriptors, systemd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks import confinement as module
from snowowl.cli.doctor_checks.confinement import (
    activation,
    confinement,
    descriptors,
    landlock_abi,
)
from snowowl.cli.doctor_checks.finding import Level
from tests.cli.doctor_checks.machines import levels, machine, subject


@pytest.mark.parametrize(
    ("abi", "wanted", "level"),
    [(4, True, Level.OK), (4, False, Level.NOTE), (0, True, Level.NOTE)],
)
def test_landlock(
    abi: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: bool
) -> None:
    assert landlock_abi() >= 0
    monkeypatch.setattr(module, "landlock_abi", lambda: abi)
    at = machine(tmp_path, {"proc/self/status": "NoNewPrivs:\t1\n"})
    first, second = confinement(subject(at, server__landlock=wanted))
    assert first.level is level
    assert second.message == "no_new_privs is set"
    monkeypatch.setattr(module, "landlock_abi", lambda: 0)
    assert not list(confinement(subject(machine(tmp_path / "m"), server__landlock=False)))


def test_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    at = machine(tmp_path)
    (finding,) = descriptors(subject(at))
    assert finding.level is Level.WARN
    assert "LimitNOFILE=4672" in finding.advice
    (finding,) = descriptors(subject(at, limits__open_files_max=1000))
    assert finding.level is Level.OK
    (finding,) = descriptors(subject(at, limits__open_files_max=1000, server__tid="own"))
    assert finding.level is Level.WARN
    monkeypatch.setattr(resource, "getrlimit", lambda _: (-1, resource.RLIM_INFINITY))
    assert levels(list(descriptors(subject(at)))) == [Level.OK]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "binds its own"),
        ({"NOTIFY_SOCKET": "/x"}, "readiness"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}, "for this process"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, "for process 1"),
    ],
)
def test_systemd(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    (finding,) = activation(subject(machine(tmp_path, environ=environ)))
    assert words in finding.message
