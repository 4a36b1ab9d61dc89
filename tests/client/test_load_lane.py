"""A port: what it sends for a transfer, and what it keeps of the one before."""

from __future__ import annotations

from snowowl.client.load_content import Content
from snowowl.client.load_lane import Job, Lane
from snowowl.datagram.interface import Packet, Region, Train
from snowowl.protocol.actions import SendBlocks, SendPacket
from snowowl.protocol.initiate import WriteInitiator
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.wire.packets import WriteRequest
from tests.client.load_ports import TID, Port, fetches


def upload(octets: bytes, start: int, size: int) -> Job:
    transfer = WriteInitiator(WriteRequest(b"name"), RetransmitPolicy(), size)
    return Job(1, b"name", transfer, Content(octets, start, size), Region(octets))


def test_data_is_sent_from_where_it_lies() -> None:
    octets = bytes(range(256)) * 5
    lane = Lane(Port())
    lane.take(upload(octets, 7, 1100), 1, 0.0)
    lane.carry_out([SendPacket(b"first"), SendBlocks(2, 2)], TID)
    packet, train = lane.outbox
    assert packet == Packet(TID, b"first")
    assert isinstance(train, Train)
    assert train.body.view.obj is octets
    assert [b"".join(pieces) for pieces in train.datagrams()] == [
        b"\0\3\0\2" + octets[7 + 512 : 7 + 1024],
        b"\0\3\0\3" + octets[7 + 1024 : 7 + 1100],
    ]


def test_the_transfer_before_is_kept_for_what_comes_late() -> None:
    lane = Lane(Port())
    first = fetches(b"x")(1)
    assert first is not None
    lane.take(first, 1, 1.0)
    lane.peer = TID
    lane.requests_resent = 2
    second = upload(b"y", 0, 1)
    lane.take(second, 2, 3.0)
    assert (lane.late, lane.late_peer) == (first.transfer, TID)
    assert (lane.transfer, lane.peer, lane.client) == (second.transfer, b"", 2)
    assert (lane.asked_at, lane.requests_resent, lane.running) == (3.0, 0, True)


def test_only_readers_have_the_short_way() -> None:
    lane = Lane(Port())
    job = fetches(b"x")(1)
    assert job is not None
    lane.take(job, 1, 0.0)
    assert lane.take_right is not None
    lane.take(upload(b"y", 0, 1), 1, 0.0)
    assert lane.take_right is None
