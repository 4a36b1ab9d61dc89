"""Ports: who has them, and what is missing to bind them."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks import ports as module
from snowowl.cli.doctor_checks.finding import Level
from snowowl.cli.doctor_checks.machine import Machine
from snowowl.cli.doctor_checks.ports import owners_of, ports
from tests.cli.doctor_checks.machines import machine, subject
from tests.cli.program import serving


@pytest.mark.real
def test_a_free_port_is_free_again_afterwards(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    at = subject(machine(tmp_path), server__listen=[f"127.0.0.1:{port}"])
    for _ in range(2):
        (finding,) = ports(at)
        assert finding.level is Level.OK
    (finding,) = ports(subject(machine(tmp_path), server__listen=["127.0.0.1:0"]))
    assert finding.level is Level.NOTE


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="needs Linux")
def test_who_has_a_port_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        (owner,) = owners_of(port, Machine())
        assert owner[0] == os.getpid()
        (finding,) = ports(subject(Machine(), server__listen=[f"127.0.0.1:{port}"]))
    if "snowowl" not in owner[1]:
        assert finding.level is Level.FAIL
        assert f"process {os.getpid()}" in finding.message
        assert "--listen" in finding.advice


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="needs Linux")
def test_a_server_that_runs_is_no_fault(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (finding,) = ports(subject(Machine(), server__listen=[f"127.0.0.1:{server.port}"]))
        assert server.process.poll() is None
    assert finding.level is Level.NOTE
    assert "snowowl serves it already" in finding.message


def test_an_address_that_nobody_has(tmp_path: Path) -> None:
    (finding,) = ports(subject(machine(tmp_path), server__listen=["203.0.113.77:6969"]))
    assert finding.level is Level.FAIL
    assert "ip address" in finding.advice


def test_a_port_that_is_privileged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "open_listening", refuse)
    files = {"proc/sys/net/ipv4/ip_unprivileged_port_start": 1024, "proc/self/status": "CapEff:\t0"}
    (finding,) = ports(subject(machine(tmp_path, files)))
    assert finding.level is Level.FAIL
    assert "ip_unprivileged_port_start is 1024" in finding.message
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in finding.advice
    able = machine(tmp_path, {"proc/self/status": "CapEff:\t400"})
    (finding,) = ports(subject(able))
    assert "security module" in finding.message


def test_sockets_of_systemd(tmp_path: Path) -> None:
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
    first, _ = ports(subject(machine(tmp_path, environ=environ), server__listen=["127.0.0.1:0"]))
    assert "2 sockets come from systemd" in first.message
