"""Reading what the kernel tells: never an exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.machine import CAP_NET_BIND_SERVICE, Machine
from tests.cli.doctor_checks.machines import machine


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    empty = machine(tmp_path, {"folder/file": "x"})
    assert empty.text("absent") == empty.text("folder") == empty.text("nul\0") == ""
    assert empty.number("absent") is None
    assert not empty.exists("absent")
    assert not empty.has_capability(0)


@pytest.mark.parametrize(
    ("text", "number"), [("42\n", 42), ("-1", None), ("4 2", None), ("9" * 30, None), ("", None)]
)
def test_numbers(text: str, number: int | None, tmp_path: Path) -> None:
    assert machine(tmp_path, {"n": text}).number("n") == number


def test_capabilities(tmp_path: Path) -> None:
    status = {"proc/self/status": "Name:\tx\nCapEff:\t0000000000000400\n"}
    some = machine(tmp_path, status)
    assert some.has_capability(CAP_NET_BIND_SERVICE)
    assert not some.has_capability(CAP_NET_BIND_SERVICE + 1)


def test_octets_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe7")
    assert machine(tmp_path).text("x").endswith("7")


def test_this_machine() -> None:
    assert Machine().euid >= -1
