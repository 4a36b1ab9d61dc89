"""What a client asks for, and its limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from snowowl.client.options import ClientOptions


@pytest.mark.parametrize(
    ("name", "make", "low", "high"),
    [
        ("blksize", lambda value: ClientOptions(blksize=value), 8, 65464),
        ("windowsize", lambda value: ClientOptions(windowsize=value), 1, 65535),
        ("timeout", lambda value: ClientOptions(timeout=value), 1, 255),
        ("retries", lambda value: ClientOptions(retries=value), 0, 1_000_000),
    ],
)
def test_ranges(name: str, make: Callable[[int], ClientOptions], low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(make(value), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"{name} must be from {low} to {high}, not {value}"):
            make(value)


def test_asked() -> None:
    everything = ClientOptions(blksize=1024, windowsize=4, timeout=3)
    assert everything.asked(0) == (
        (b"tsize", b"0"),
        (b"blksize", b"1024"),
        (b"windowsize", b"4"),
        (b"timeout", b"3"),
    )
    assert ClientOptions(blksize=None, windowsize=None, tsize=False).asked(5) == ()


def test_none_keeps_the_timeout_to_itself() -> None:
    options = ClientOptions.none(timeout=3, retries=2)
    assert options.asked(7) == ()
    assert options.retransmit().initial == options.retransmit().ceiling == 3.0
    assert options.retransmit().retries == 2
