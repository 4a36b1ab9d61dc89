"""Which fault is played in which transfer."""

from __future__ import annotations

import pytest

from snowowl.observe.events import Direction
from snowowl.testing.faults import FaultError, parse_fault
from snowowl.testing.faults.plan import Plan, by_name

READ, WRITE = Direction.READ, Direction.WRITE


def plan(*faults: str, repeats: bool = False, once: bool = False) -> Plan:
    return Plan([parse_fault(fault) for fault in faults], repeats=repeats, once=once)


def chosen(plan: Plan, count: int, direction: Direction = READ) -> list[str]:
    """Return what is played in so many transfers; "" for nothing."""
    choices = [plan.choose(b"file", direction, ()) for _ in range(count)]
    return [str(choice.spec or "") for choice in choices]


def test_each_transfer_gets_the_next_and_then_none() -> None:
    assert chosen(plan("lost-data", "silence"), 4) == ["lost-data", "silence", "", ""]


def test_a_plan_that_repeats() -> None:
    assert chosen(plan("lost-data", "silence", repeats=True), 3) == [
        "lost-data",
        "silence",
        "lost-data",
    ]


def test_what_a_request_does_not_allow_waits() -> None:
    both = plan("lost-ack", "lost-data", "disk-full")
    assert chosen(both, 2) == ["lost-data", ""]
    assert chosen(both, 3, WRITE) == ["lost-ack", "disk-full", ""]
    assert not both.left


def test_a_plan_for_once_ends_whatever_the_requests_allow() -> None:
    once = plan("lost-ack", "lost-data", once=True)
    assert chosen(once, 3) == ["lost-data", "lost-ack", ""]


def test_a_plan_of_what_cannot_be_played_says_so_each_time() -> None:
    assert chosen(plan("lost-ack", repeats=True), 2) == ["lost-ack", "lost-ack"]


def test_a_name_goes_before_the_plan() -> None:
    one = plan("silence")
    choice = one.choose(b"lost-data:block=3/boot/vmlinuz", READ, ())
    assert (str(choice.spec), choice.filename) == ("lost-data:block=3", b"boot/vmlinuz")
    assert [str(spec) for spec in one.left] == ["silence"]


@pytest.mark.parametrize(
    "name",
    [
        b"vmlinuz",
        b"boot/vmlinuz",
        b"lost-data",
        b"lost-data/",
        b"a:b/vmlinuz",
        b"",
        b"/",
        b"\xff/x",
    ],
)
def test_names_without_a_fault(name: bytes) -> None:
    assert by_name(name) is None


def test_a_comma_for_those_to_whom_a_colon_means_a_host() -> None:
    choice = by_name(b"lost-data,block=3,times=2/boot/vmlinuz")
    assert choice is not None
    assert (str(choice.spec), choice.filename) == ("lost-data:block=3,times=2", b"boot/vmlinuz")


@pytest.mark.parametrize("name", [b"/silence/x", b"silence/x", b"//silence//x"])
def test_slashes_do_not_count(name: bytes) -> None:
    choice = by_name(name)
    assert choice is not None
    assert str(choice.spec) == "silence"
    assert choice.filename.strip(b"/") == b"x"


@pytest.mark.parametrize("name", [b"lost-data:blok=3/x", b"lost-dta:block=3/x", b"silence:/x"])
def test_names_with_a_fault_that_is_written_wrongly(name: bytes) -> None:
    with pytest.raises(FaultError):
        by_name(name)
