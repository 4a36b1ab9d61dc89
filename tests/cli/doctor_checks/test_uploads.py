"""Uploads: the folder, the room, the file system; and nothing is left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.finding import Level
from snowowl.cli.doctor_checks.uploads import uploads
from tests.cli.doctor_checks.machines import levels, machine, subject


def test_off(tmp_path: Path) -> None:
    (finding,) = uploads(subject(machine(tmp_path), server__root=str(tmp_path)))
    assert finding.level is Level.OK


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="needs Linux")
def test_on_and_nothing_is_left(tmp_path: Path) -> None:
    at = machine(tmp_path / "m", euid=os.geteuid())
    found = list(
        uploads(subject(at, server__root=str(tmp_path), server__user="root", write__enabled=True))
    )
    assert levels(found)[:2] == [Level.OK, Level.OK]
    assert "O_TMPFILE" in found[2].message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free", "quota", "level"),
    [(63 << 20, 0, Level.FAIL), (65 << 20, 2 << 20, Level.WARN), (1 << 40, 1 << 30, Level.OK)],
)
def test_room(
    free: int, quota: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(1 << 41, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    keys = {"server__root": str(tmp_path), "write__enabled": True, "write__quota": quota}
    found = list(uploads(subject(machine(tmp_path / "m", euid=os.geteuid()), **keys)))
    assert found[1].level is level


def test_a_user_who_may_not_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    at = machine(tmp_path / "m", euid=4_000_000)
    found = list(uploads(subject(at, server__root=str(tmp_path), write__enabled=True)))
    assert found[0].level is Level.WARN
    assert found[0].advice.startswith("chown 4000000 ")
