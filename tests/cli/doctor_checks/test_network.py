"""Interfaces, buffers, the datapath, reverse paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.finding import Level
from snowowl.cli.doctor_checks.network import buffers, datapath, interfaces, reverse_path
from tests.cli.doctor_checks.machines import levels, machine, subject


def nets(**mtus: int) -> dict[str, object]:
    return {f"sys/class/net/{name}/mtu": mtu for name, mtu in mtus.items()}


def test_mtus(tmp_path: Path) -> None:
    at = machine(tmp_path / "a", nets(lo=65536, eth0=1500))
    (finding,) = interfaces(subject(at))
    assert finding.level is Level.OK
    assert "blocks of up to 1468 octets" in finding.message
    (finding,) = interfaces(subject(at, protocol__mtu=9000))
    assert (finding.level, finding.message.count("eth0")) == (Level.WARN, 1)
    (finding,) = interfaces(subject(machine(tmp_path / "b", nets(wg0=1420))))
    assert finding.level is Level.NOTE
    assert not list(interfaces(subject(machine(tmp_path / "c"))))
    down = nets(wg0=1420, eth0=1500) | {"sys/class/net/wg0/operstate": "down\n"}
    assert levels(list(interfaces(subject(machine(tmp_path / "d", down))))) == [Level.OK]


@pytest.mark.parametrize(
    ("most", "euid", "level"),
    [(212_992, 1000, Level.NOTE), (212_992, 0, Level.OK), (4 << 20, 1000, Level.OK)],
)
def test_buffers(most: int, euid: int, level: Level, tmp_path: Path) -> None:
    at = machine(tmp_path, {"proc/sys/net/core/rmem_max": most}, euid=euid)
    (finding,) = buffers(subject(at))
    assert finding.level is level
    if level is Level.NOTE:
        assert finding.advice == "sysctl -w net.core.rmem_max=4194304"


def test_the_datapath(tmp_path: Path) -> None:
    found = list(datapath(subject(machine(tmp_path), performance__platform__rung="portable")))
    assert found[0].message == "rung portable with no more"


def test_reverse_paths(tmp_path: Path) -> None:
    folder = "proc/sys/net/ipv4/conf"
    files = {f"{folder}/{name}/rp_filter": 0 for name in ("all", "default", "lo", "a", "b")}
    assert levels(list(reverse_path(subject(machine(tmp_path, files))))) == [Level.OK]
    files[f"{folder}/all/rp_filter"] = 1
    (finding,) = reverse_path(subject(machine(tmp_path, files)))
    assert finding.level is Level.NOTE
    assert finding.message.startswith("a, b: ")
    files[f"{folder}/a/rp_filter"] = 2  # loose
    assert levels(list(reverse_path(subject(machine(tmp_path, files))))) == [Level.OK]
    assert not list(reverse_path(subject(machine(tmp_path / "empty"))))
