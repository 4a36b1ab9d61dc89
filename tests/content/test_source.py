from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.content.source import BytesSource, Source, data_buffers
from snowowl.wire.codec import data_headers

HEADERS = data_headers()


def naive(
    octets: bytes, first: int, count: int, blksize: int, rollover: int
) -> list[tuple[bytes, bytes]]:
    """Block by block, from the text of RFC 1350 and of the rollover convention."""
    number, blocks = 0, []
    for index in range(1, first + count):
        number = number + 1 if number < 65535 else rollover
        if index >= first:
            start = (index - 1) * blksize
            header = bytes([0, 3, number >> 8, number & 0xFF])
            blocks.append((header, octets[start : start + blksize]))
    return blocks


def pairs(buffers: list[bytes | memoryview]) -> list[tuple[bytes, bytes]]:
    octets = [bytes(buffer) for buffer in buffers]
    return list(zip(octets[::2], octets[1::2], strict=True))


@given(
    st.binary(max_size=200),
    st.integers(1, 30),
    st.integers(1, 20),
    st.integers(8, 40),
    st.sampled_from([0, 1]),
)
def test_a_window_is_its_blocks(
    octets: bytes, first: int, count: int, blksize: int, rollover: int
) -> None:
    source: Source = BytesSource(octets)
    buffers = data_buffers(source, first, count, blksize, HEADERS, rollover)
    assert pairs(buffers) == naive(octets, first, count, blksize, rollover)


@pytest.mark.rule("R11")
@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize(
    ("first", "count"),
    [
        (65530, 12),
        (65534, 1),
        (65535, 1),
        (65536, 1),
        (65535, 2),
        (65536, 3),
        (131068, 8),
        (1, 70000),
    ],
)
def test_block_numbers_roll_over(first: int, count: int, rollover: int) -> None:
    source = BytesSource(b"")
    buffers = data_buffers(source, first, count, 8, HEADERS, rollover)
    assert pairs(buffers) == naive(b"", first, count, 8, rollover)


@pytest.mark.rfc("1350 6")
@pytest.mark.parametrize("count", [1, 2])
def test_behind_a_full_last_block_comes_an_empty_one(count: int) -> None:
    buffers = data_buffers(BytesSource(bytes(16)), 4 - count, count, 8, HEADERS, 0)
    assert buffers[-2:] == [b"\0\3\0\3", b""]
    assert len(buffers) == 2 * count


def test_payloads_are_views_not_copies() -> None:
    octets = bytes(range(64))
    buffers = data_buffers(BytesSource(octets), 1, 4, 16, HEADERS, 0)
    assert all(isinstance(payload, memoryview) for payload in buffers[1::2])
    assert all(
        payload.obj is octets for payload in buffers[1::2] if isinstance(payload, memoryview)
    )


def test_octets_in_memory_are_always_ready() -> None:
    source = BytesSource(b"0123456789")
    assert source.size == 10
    assert source.ready(0, 10)
    source.load(0, 10)
    source.check()
    assert bytes(source.view(8, 5)) == b"89"
    view = source.view(0, 10)
    source.close()
    source.close()
    assert bytes(view) == b"0123456789"
