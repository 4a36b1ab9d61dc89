"""Losses on purpose: of DATA and ACK only, both ways, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from snowowl.client.load_loss import LossyEndpoint
from snowowl.datagram.interface import Packet, Region, Train
from snowowl.wire.codec import data_headers, encode_ack, encode_error
from tests.client.fake import data, oack
from tests.client.load_ports import TID, Port

REQUEST = b"\0\1file\0octet\0"


class Draws(random.Random):
    """Draws what it is told, 1.0 after that."""

    def __init__(self, *draws: float) -> None:
        super().__init__()
        self.draws = list(draws)

    def random(self) -> float:
        return self.draws.pop(0) if self.draws else 1.0


def lossy(*draws: float) -> tuple[LossyEndpoint, Port]:
    port = Port()
    return LossyEndpoint(port, 0.5, Draws(*draws)), port


def received(endpoint: LossyEndpoint) -> list[tuple[bytes, int]]:
    return [(bytes(each.data), each.stride) for each in endpoint.receive()]


def train(count: int, size: int) -> Train:
    body = Region(bytes(range(64)))
    return Train(TID, Region(data_headers(0)), 4, body, 0, size, 4 + 16, count)


def test_a_datagram_is_lost_or_comes() -> None:
    endpoint, port = lossy(0.49, 0.5)
    port.comes(TID, data(1, b"lost"))
    port.comes(TID, data(2, b"comes"))
    assert received(endpoint) == [(data(2, b"comes"), 9)]
    assert endpoint.dropped_here == 1


LOST, KEPT = 0.0, 1.0


@pytest.mark.parametrize(
    ("draws", "runs"),
    [
        ((KEPT, KEPT, KEPT), [(1, 2, 3)]),
        ((LOST, KEPT, KEPT), [(2, 3)]),
        ((KEPT, LOST, KEPT), [(1,), (3,)]),
        ((KEPT, KEPT, LOST), [(1, 2)]),
        ((LOST, LOST, KEPT), [(3,)]),
        ((LOST, LOST, LOST), []),
    ],
)
def test_a_run_of_datagrams_falls_apart_where_some_are_lost(
    draws: Sequence[float], runs: Sequence[Sequence[int]]
) -> None:
    blocks = {1: data(1, b"aaaa"), 2: data(2, b"bbbb"), 3: data(3, b"c")}
    endpoint, port = lossy(*draws)
    port.comes(TID, *blocks.values())
    assert received(endpoint) == [
        (b"".join(blocks[number] for number in run), min(8, len(blocks[run[0]]))) for run in runs
    ]
    assert endpoint.dropped_here == draws.count(LOST)

    endpoint, port = lossy(*draws)
    endpoint.send([train(3, 40)])
    sent = [octets for _, octets in port.sent]
    bodies = [bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 40))]
    assert sent == [data(number, bodies[number - 1]) for run in runs for number in run]
    assert endpoint.dropped_here == draws.count(LOST)


def test_acks_are_lost_and_what_begins_or_ends_a_transfer_is_not() -> None:
    endpoint, port = lossy(*[LOST] * 20)
    kept = [REQUEST, oack((b"tsize", b"1")), encode_error(0, "over"), b"\0", b""]
    endpoint.send([Packet(TID, octets) for octets in [*kept, encode_ack(1)]])
    assert [octets for _, octets in port.sent] == kept
    for octets in kept:
        port.comes(TID, octets)
    port.comes(TID, encode_ack(1))
    assert [octets for octets, _ in received(endpoint)] == kept
    assert endpoint.dropped_here == 2


def test_a_seed_decides() -> None:
    def survivors(seed: int) -> list[int]:
        port = Port()
        endpoint = LossyEndpoint(port, 0.3, random.Random(seed))
        endpoint.send([Packet(TID, encode_ack(number)) for number in range(200)])
        return [int.from_bytes(octets[2:], "big") for _, octets in port.sent]

    assert survivors(1) == survivors(1)
    assert survivors(1) != survivors(2)
    assert 100 < len(survivors(1)) < 180


def test_all_else_is_the_endpoint_behind() -> None:
    endpoint, port = lossy()
    port.closed_ports = [TID]
    assert (endpoint.address, endpoint.counters) == (port.address, port.counters)
    assert (endpoint.take_unreachable(), endpoint.dropped()) == ([TID], 3)
    endpoint.close()
    assert port.closed
