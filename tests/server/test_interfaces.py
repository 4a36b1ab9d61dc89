from __future__ import annotations

import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from snowowl.server import interfaces
from snowowl.server.interfaces import machine_addresses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")


def test_a_machine_has_loopback() -> None:
    addresses = machine_addresses()
    assert ip_address("127.0.0.1").packed in addresses
    assert bytes(4) not in addresses
    assert len(set(addresses)) == len(addresses)


def test_both_families_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "if_inet6"
    table.write_text("2a000000000000000000000000000007 02 40 00 80     eth0\n")
    monkeypatch.setattr(interfaces, "_IF_INET6", table)
    assert ip_address("2a00::7").packed in machine_addresses()
    table.unlink()  # a kernel without IPv6
    assert all(len(packed) == 4 for packed in machine_addresses())


def test_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert machine_addresses() == ()
