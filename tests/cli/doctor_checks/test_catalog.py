"""All checks together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks import catalog
from snowowl.cli.doctor_checks.addresses import hosts_of
from snowowl.cli.doctor_checks.finding import Finding, Level, Subject, ok
from snowowl.cli.doctor_checks.machine import Machine
from snowowl.config.listen import parse_listen
from tests.cli.doctor_checks.machines import machine, subject


def test_a_check_that_cannot_be_made_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Subject) -> Iterator[Finding]:
        yield ok("x", "first")
        raise OSError(24, "Too many open files")

    def last(_: Subject) -> Iterator[Finding]:
        yield ok("x", "last")

    monkeypatch.setattr(catalog, "CHECKS", (broken, last))
    found = list(catalog.examine(subject(machine(tmp_path), server__listen=["127.0.0.1:0"])))
    assert [finding.message for finding in found[:3]] == [
        "first",
        "cannot be looked at: Too many open files",
        "last",
    ]
    assert found[1].level is Level.NOTE


def test_a_check_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hangs(_: Subject) -> Iterator[Finding]:
        yield ok("x", "first")
        over.wait(30)

    monkeypatch.setattr(catalog, "CHECKS", (hangs,))
    monkeypatch.setattr(catalog, "CHECK_SECONDS", 0.2)
    found = list(catalog.examine(subject(machine(tmp_path), server__listen=["203.0.113.77:0"])))
    over.set()
    assert [finding.level for finding in found[:2]] == [Level.OK, Level.FAIL]
    assert found[1].message == "did not end in 0.2 s"


@pytest.mark.real
def test_the_addresses_that_are_meant() -> None:
    assert hosts_of(parse_listen("192.0.2.1:69"), Machine()) == ["192.0.2.1"]
    every = hosts_of(parse_listen("*:69"), Machine())
    assert "127.0.0.1" in every[:2]
    assert all(":" not in host for host in hosts_of(parse_listen("0.0.0.0:69"), Machine()))
    assert all(":" in host for host in hosts_of(parse_listen("[::]:69"), Machine()))
