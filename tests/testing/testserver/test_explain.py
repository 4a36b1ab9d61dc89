"""What was wanted and what came: found in order, or told in words."""

from __future__ import annotations

import pytest

from snowowl.observe.events import Direction
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.testing.testserver import Transfer, Until
from snowowl.testing.testserver.explain import in_order, listing, matches, missing, unwanted
from snowowl.wire.packets import Mode

COMPLETED = Outcome(OutcomeKind.COMPLETED)
NOT_FOUND = Outcome(OutcomeKind.REFUSED, "file not found", 1)
READ, WRITE = Direction.READ, Direction.WRITE


def transfers(*names: tuple[str, Outcome | None]) -> list[Transfer]:
    return [
        Transfer(
            number=number,
            client="192.0.2.7:1042",
            direction=READ,
            name=name,
            filename=name.encode(),
            mode=Mode.OCTET,
            options=(),
            at=float(number),
            outcome=outcome,
        )
        for number, (name, outcome) in enumerate(names)
    ]


BOOT = transfers(
    ("pxelinux.cfg/01-aa", NOT_FOUND),
    ("uImage", NOT_FOUND),
    ("uImage", COMPLETED),
    ("board.dtb", COMPLETED),
    ("rootfs", None),
)


def text(*names: str, until: Until = "complete", within: float | None = None) -> str:
    return missing(BOOT, names, READ, until, within=within, files=["uImage", "b"])


@pytest.mark.parametrize(
    ("name", "matched"),
    [
        ("uImage", True),
        ("/uImage", True),
        ("uimage", False),
        ("u*", True),
        ("*", True),
        ("Image", False),
    ],
)
def test_names_are_names_or_patterns(name: str, *, matched: bool) -> None:
    assert matches(BOOT[1], name) is matched


def test_a_name_that_was_refused_as_none_is_matched_as_it_was_sent() -> None:
    (bad,) = transfers(("/../etc/passwd", NOT_FOUND))
    assert matches(bad, "/../etc/passwd")
    assert matches(bad, "*..*")


@pytest.mark.parametrize(
    ("names", "until", "numbers"),
    [
        (("uImage", "board.dtb"), "complete", [2, 3]),
        (("uImage", "board.dtb"), "ended", [1, 3]),
        (("uImage", "uImage"), "requested", [1, 2]),
        (("uImage", "uImage"), "complete", [2]),
        (("board.dtb", "uImage"), "complete", [3]),
        (("pxelinux.cfg/*", "rootfs"), "requested", [0, 4]),
        (("rootfs",), "ended", []),
        ((), "ended", []),
    ],
)
def test_transfers_are_found_in_the_order_of_the_names(
    names: tuple[str, ...], until: Until, numbers: list[int]
) -> None:
    assert [each.number for each in in_order(BOOT, names, READ, until)] == numbers
    assert not in_order(BOOT, names, WRITE, until)


def test_a_message_says_what_was_wanted_and_what_there_is() -> None:
    told = text("uImage", "zImage", within=60.0)
    assert told.startswith("zImage was not fetched completely after uImage within 60 s.\n")
    assert "No file of this name is served; the files are: b, uImage." in told
    assert "No file" not in text("/uImage", "/uImage", "/b")
    many = [f"f{number:03}" for number in range(100)]
    told = missing([], ["x"], READ, "ended", within=None, files=many)
    assert told.endswith("f039, and 60 more.")


def test_all_that_came_is_listed() -> None:
    first, *lines, last = listing(BOOT, "192.0.2.1:69", "2 datagrams were no requests")
    assert first == "What was asked for at 192.0.2.1:69:"
    assert len([line for line in lines if "RRQ from 192.0.2.7:1042" in line]) == 5
    assert "uImage: refused (file not found)" in lines[1]
    assert last == "2 datagrams were no requests."


@pytest.mark.parametrize(
    ("names", "until", "reason"),
    [
        (("uimage",), "complete", "Is it another name for uImage?"),
        (("board.dtb", "uImage"), "requested", "It was asked for, but not in this order."),
        (("pxelinux.cfg/*",), "complete", "It was asked for, see below how that ended."),
        (("rootfs",), "complete", "1 of its 1 transfers still run."),
        (("dtb",), "complete", "Is it another name for board.dtb?"),
    ],
)
def test_a_message_says_why(names: tuple[str, ...], until: Until, reason: str) -> None:
    assert reason in text(*names, until=until).splitlines()


def test_an_upload_is_told_as_one() -> None:
    told = missing([], ["x"], WRITE, "complete", within=1.0, files=[])
    assert told == "x was not uploaded completely within 1 s."


def test_where_nothing_came_it_is_said_where_to_look() -> None:
    told = "\n".join(listing([], "127.0.0.1:40123", ""))
    assert told.startswith("Nothing at all was asked for at 127.0.0.1:40123.")
    assert "port 69" in told


def test_long_lists_are_cut() -> None:
    many = transfers(*[(f"f{number}", COMPLETED) for number in range(100)])
    lines = listing(many, "192.0.2.1:69", "")
    assert lines[1] == "  ... and 60 before"
    assert len(lines) == 42


def test_what_was_not_wanted_is_named() -> None:
    assert unwanted(BOOT, ["recovery*", "u*"]) == "uImage was asked for."
    assert unwanted(BOOT, ["recovery*"]) is None
