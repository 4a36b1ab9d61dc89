"""The units of systemd in examples/deploy: right, hardened, and of a server that exists."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest

from snowowl.cli.configuration import EX_CONFIG
from snowowl.cli.serve import serve
from snowowl.config import VARIABLES

UNITS: Final = Path(__file__).parents[2] / "examples/deploy/systemd"
SERVICE: Final = UNITS / "snowowl.service"
SOCKET: Final = UNITS / "snowowl.socket"
analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)"
)


def settings(unit: Path) -> list[tuple[str, str]]:
    """Return what a unit says, in its order."""
    lines = unit.read_text().splitlines()
    said = [line.partition("=") for line in lines if line and line[0] not in "#[ "]
    return [(key, value) for key, _, value in said]


def value_of(key: str, unit: Path = SERVICE) -> str:
    """Return the one value of a key."""
    (value,) = [value for name, value in settings(unit) if name == key]
    return value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Give the units as if the server were installed: its path must exist for `verify`."""
    program = tmp_path / "snowowl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = SERVICE.read_text().replace("/opt/snowowl/bin/snowowl", str(program))
    (tmp_path / SERVICE.name).write_text(text)
    shutil.copy(SOCKET, tmp_path)
    return tmp_path


@analyze
def test_systemd_understands_them(installed: Path) -> None:
    units = [str(installed / unit.name) for unit in (SERVICE, SOCKET)]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [
        line for line in done.stderr.splitlines() if "snowowl" in line or str(installed) in line
    ]
    assert ours == []


@analyze
def test_the_service_is_hardened(installed: Path) -> None:
    """The threshold is in tenths: an exposure of 2.0 at most, of 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", SERVICE.name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=installed,
    )
    if "Unknown" in done.stderr or "unrecognized" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"exposure level for snowowl\.service: ([0-9.]+)", done.stdout)
    assert found
    assert float(found[1]) < 2.0


def test_its_command_exists() -> None:
    _, subcommand, *flags = value_of("ExecStart").split()
    assert subcommand == "serve"
    context = click.Context(serve)
    options = {name for parameter in serve.get_params(context) for name in parameter.opts}
    assert {flag for flag in flags if flag.startswith("-")} <= options
    known = {variable.name for variable in VARIABLES}
    named = {value.partition("=")[0] for key, value in settings(SERVICE) if key == "Environment"}
    assert named <= known


def test_what_a_restart_cannot_mend_is_not_restarted() -> None:
    assert value_of("RestartPreventExitStatus").split() == ["2", str(EX_CONFIG)]


def test_landlock_is_allowed() -> None:
    """@system-service has it since systemd 249 at best; a filter that refuses would turn it off."""
    filters = [value for key, value in settings(SERVICE) if key == "SystemCallFilter"]
    allowed = {word for text in filters if not text.startswith("~") for word in text.split()}
    for call in ("create_ruleset", "add_rule", "restrict_self"):
        assert f"landlock_{call}" in allowed


def test_it_needs_no_privileges() -> None:
    assert value_of("CapabilityBoundingSet") == value_of("AmbientCapabilities") == ""
    assert value_of("Requires") == SOCKET.name
    assert "snowowl.socket" in value_of("Also")
    assert value_of("ListenDatagram", SOCKET) == "69"
    assert value_of("Type") == "notify"


def test_what_it_hears_by() -> None:
    """AF_UNIX is for the notifications, and for the journal."""
    assert value_of("RestrictAddressFamilies").split() == ["AF_INET", "AF_INET6", "AF_UNIX"]
