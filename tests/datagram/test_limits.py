"""In which way a datagram may be sent."""

from __future__ import annotations

import attrs
import pytest

from snowowl.datagram.interface import Region, Train
from snowowl.datagram.limits import NEVER, OCTETS_MAX, Limits
from tests.datagram.batching import File
from tests.datagram.transmits import BODY, HEADERS, PEERS

PEER, OTHER = PEERS[:2]
PLAIN = Train(PEER, HEADERS, 0, BODY, 0, 100 * 512, 516, 100)
BY_FILE = attrs.evolve(PLAIN, body=Region(BODY.view, File()))


@pytest.mark.parametrize(
    ("limits", "changes", "wanted"),
    [
        (Limits(0, 516, len(BODY.view)), {}, True),
        (Limits(0, 516), {"body_at": 1024}, True),
        (Limits(0, 517), {}, False),
        (Limits(0), {}, False),
        (Limits(0, 516, len(BODY.view) + 1), {}, False),
        (Limits(0, 100), {"body_at": 511}, False),
        (Limits(0, 100), {"stride": 515}, False),
        (Limits(0, 100), {"stride": 515, "header_size": 3}, True),
    ],
)
def test_what_is_sent_by_file(limits: Limits, changes: dict[str, int], wanted: bool) -> None:
    train = attrs.evolve(BY_FILE, **changes)  # type: ignore[arg-type]
    assert limits.by_file(train) is wanted
    limits.without_file()
    assert not limits.by_file(train)


def test_what_is_no_file_or_is_closed() -> None:
    limits = Limits(0, 516)
    assert not limits.by_file(PLAIN)
    assert not limits.by_file(attrs.evolve(PLAIN, body=Region(BODY.view, File(-1))))


@pytest.mark.parametrize(
    ("stride", "datagram", "count"),
    [
        (516, 0, 64),
        (516, 64, 36),
        (516, 98, 2),
        (516, 99, 1),
        (1432, 0, 45),
        (OCTETS_MAX // 2, 0, 2),
        (OCTETS_MAX // 2 + 1, 0, 1),
    ],
)
def test_how_many_segments_make_a_message(stride: int, datagram: int, count: int) -> None:
    train = attrs.evolve(PLAIN, stride=stride)
    limits = Limits(OCTETS_MAX)
    assert limits.segments(train, datagram) == count
    assert Limits(stride - 1).segments(train, datagram) == 1
    limits.without_segments()
    assert limits.segments(train, datagram) == 1


def test_an_empty_last_datagram_is_no_segment() -> None:
    bare = attrs.evolve(PLAIN, header_size=0, stride=512, size=2 * 512, count=3)
    limits = Limits(OCTETS_MAX)
    assert [limits.segments(bare, datagram) for datagram in range(3)] == [2, 1, 1]
    headed = attrs.evolve(PLAIN, size=2 * 512, count=3)
    assert limits.segments(headed, 0) == 3


def test_narrow_is_for_one_peer_and_for_such_sizes() -> None:
    limits = Limits(OCTETS_MAX)
    assert limits.narrow(PLAIN)
    assert not limits.narrow(attrs.evolve(PLAIN, peer=OTHER, stride=400))
    assert limits.segments(PLAIN, 0) == 1
    assert limits.segments(attrs.evolve(PLAIN, stride=515), 0) == 64
    assert limits.segments(attrs.evolve(PLAIN, peer=OTHER), 0) == 1
    assert limits.segments(attrs.evolve(PLAIN, peer=PEERS[2]), 0) == 64


@pytest.mark.parametrize(
    ("stride", "count", "wanted", "segments"),
    [
        (1432, 5, True, 5),  # the header and two pages each: 15 pieces of 17
        (1432, 6, False, 5),
        (1432, 3, False, 5),  # 4296 octets
        (516, 60, False, 64),  # as many as fit are too few octets
        (8196, 4, True, 4),
        (65468, 1, False, 1),  # 18 pieces by itself
    ],
)
def test_what_is_not_copied(stride: int, count: int, wanted: bool, segments: int) -> None:
    limits = Limits(32767, zerocopy_min=5000)
    train = attrs.evolve(PLAIN, stride=stride)
    assert limits.without_copy(train, count) is wanted
    assert limits.segments(train, 0) == segments
    assert not Limits(32767, zerocopy_min=NEVER).without_copy(train, count)
