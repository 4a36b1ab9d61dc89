from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.wire.options import RANGES, format_value, parse_value


@pytest.mark.rfc("2348")
@pytest.mark.rfc("2349")
@pytest.mark.rfc("7440 3")
@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [
        (b"blksize", 8, 65464),
        (b"timeout", 1, 255),
        (b"tsize", 0, 2**63 - 1),
        (b"windowsize", 1, 65535),
        (b"rollover", 0, 1),
    ],
)
def test_values_are_read_to_the_ends_of_their_ranges(
    name: bytes, smallest: int, largest: int
) -> None:
    assert parse_value(name, b"%d" % smallest) == smallest
    assert parse_value(name, b"%d" % largest) == largest
    assert parse_value(name, b"%d" % (largest + 1)) is None
    if smallest:
        assert parse_value(name, b"%d" % (smallest - 1)) is None


@pytest.mark.rule("R2")
@pytest.mark.parametrize(
    "value", [b"", b"abc", b"-8", b"+8", b" 8", b"8 ", b"8.0", b"0x8", b"1_000", b"\xb2", b"8\n"]
)
def test_what_is_no_decimal_number_is_no_value(value: bytes) -> None:
    assert parse_value(b"blksize", value) is None


@pytest.mark.rule("R2")
def test_an_endless_number_costs_nothing() -> None:
    assert parse_value(b"blksize", b"0" * 21) is None
    assert parse_value(b"tsize", b"9" * 60000) is None


def test_leading_zeros_are_digits() -> None:
    assert parse_value(b"blksize", b"00512") == 512


def test_a_value_has_twenty_digits_at_most() -> None:
    assert parse_value(b"blksize", b"512".zfill(20)) == 512
    assert parse_value(b"blksize", b"512".zfill(21)) is None


@pytest.mark.rule("R2")
def test_an_unknown_option_has_no_value() -> None:
    assert parse_value(b"multicast", b"1") is None
    assert parse_value(b"BLKSIZE", b"512") is None  # the codec has made it lower case before


@given(st.sampled_from(sorted(RANGES)), st.data())
def test_what_is_formatted_can_be_read(name: bytes, data: st.DataObject) -> None:
    value = data.draw(st.integers(*RANGES[name]))
    assert parse_value(name, format_value(value)) == value


@given(st.one_of(st.sampled_from(sorted(RANGES)), st.binary()), st.binary())
def test_reading_a_value_never_raises(name: bytes, value: bytes) -> None:
    number = parse_value(name, value)
    assert number is None or RANGES[name][0] <= number <= RANGES[name][1]
