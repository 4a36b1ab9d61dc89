"""The audit stream's file and the metrics' address."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.finding import Finding, Level
from snowowl.cli.doctor_checks.outputs import outputs
from tests.cli.doctor_checks.machines import levels, machine, subject


def look(tmp_path: Path, euid: int | None = None, **keys: object) -> list[Finding]:
    at = machine(tmp_path / "machine", euid=os.geteuid() if euid is None else euid)
    return list(outputs(subject(at, server__user="root", **keys)))


def test_nothing_is_needed_for_nothing(tmp_path: Path) -> None:
    assert look(tmp_path) == []


def test_the_file_of_the_audit_stream(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (good,) = look(tmp_path, audit__file=str(tmp_path / "audit"))
    assert good.level is Level.OK
    (missing,) = look(tmp_path, audit__file=str(tmp_path / "no" / "audit"))
    assert (missing.level, missing.advice) == (Level.FAIL, f"mkdir -p {tmp_path}/no")
    (other,) = look(tmp_path, 4_000_000, audit__file=str(tmp_path / "audit"))
    assert other.level is Level.WARN
    (folder,) = look(tmp_path, audit__file=str(tmp_path))
    assert folder.level is Level.WARN


@pytest.mark.real
def test_the_address_of_the_metrics(tmp_path: Path) -> None:
    assert levels(look(tmp_path, metrics__listen="127.0.0.1:0")) == [Level.OK]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert levels(look(tmp_path, metrics__listen=address)) == [Level.NOTE]
    assert levels(look(tmp_path, metrics__listen="203.0.113.77:9169")) == [Level.FAIL]


def test_a_unix_socket(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert levels(look(tmp_path, metrics__listen=f"unix:{tmp_path}/s")) == [Level.OK]
    assert levels(look(tmp_path, metrics__listen=f"unix:{tmp_path}/no/s")) == [Level.FAIL]
    assert levels(look(tmp_path, 4_000_000, metrics__listen=f"unix:{tmp_path}/s")) == [Level.WARN]
    assert list(tmp_path.iterdir()) == []
