"""Clients at work: whom they listen to, when they ask again, what is counted."""

from __future__ import annotations

import errno

import pytest

from snowowl.client.errors import Reason
from snowowl.client.load_content import Uploads
from snowowl.client.load_fleet import BEGUN_AT_ONCE_MAX, RETRY_SECONDS, Fleet
from snowowl.client.load_jobs import Sends
from snowowl.client.load_lane import Job
from snowowl.client.load_options import LoadOptions
from snowowl.client.options import ClientOptions
from snowowl.datagram.interface import Packet, Unsent
from snowowl.wire.codec import decode_error, encode_ack, encode_error
from tests.client.fake import data, oack
from tests.client.load_ports import OTHER_HOST, SERVER, TARGET, TID, TID_2, Port, fetches

RRQ = b"\0\1file\0octet\0"
STRAY = b"\0\5\0\5unknown transfer ID\0"


def fleet_of(
    octets: bytes = b"x" * 600, *, clients: int = 1, transfers: int | None = None, ports: int = 1
) -> tuple[Fleet, list[Port]]:
    endpoints = [Port() for _ in range(ports)]
    jobs = fetches(octets, clients=clients, transfers=transfers)
    fleet = Fleet(endpoints, SERVER, jobs, clients)
    fleet.begin(1.0)
    return fleet, endpoints


def sends(size: int, transfers: int = 1) -> Sends:
    options = LoadOptions(transfers=transfers, request=ClientOptions.none(), upload_size=size)
    return Sends(TARGET, options, Uploads(size))


def test_a_transfer_from_request_to_end() -> None:
    fleet, (port,) = fleet_of()
    assert port.take_sent() == [(SERVER, RRQ)]
    port.comes(TID, data(1, b"x" * 512))
    fleet.serve(fleet.lanes[0], 1.5)
    assert port.take_sent() == [(TID, encode_ack(1))]
    assert (fleet.octets, fleet.over) == (512, False)
    port.comes(TID, data(2, b"x" * 88))
    fleet.serve(fleet.lanes[0], 3.0)
    assert port.take_sent() == [(TID, encode_ack(2))]
    fleet.begin(3.0)
    assert fleet.over
    fleet.stop()
    counts = fleet.counts
    assert (counts.begun, counts.done, counts.failed, fleet.unfinished) == (1, 1, 0, 0)
    assert (fleet.octets, counts.blocks) == (600, 2)
    assert counts.latency.quantile(1.0) == pytest.approx(2.0, rel=0.02)
    assert counts.first_block.quantile(1.0) == pytest.approx(0.5, rel=0.02)


def test_wrong_octets_are_told_to_the_server_and_reported() -> None:
    fleet, (port,) = fleet_of(b"x" * 600)
    port.comes(TID, data(1, b"x" * 500 + b"y" * 12))
    fleet.serve(fleet.lanes[0], 1.5)
    ((peer, packet),) = port.take_sent()[1:]
    assert (peer, decode_error(packet).message) == (TID, b"wrong octets from offset 500 on")
    (failure,) = fleet.counts.failures.values()
    assert (failure.what, failure.error, failure.count) == ("wrong octets", None, 1)
    assert failure.first == "client 1, file: wrong octets from offset 500 on"


def test_an_error_of_the_server_is_a_failure() -> None:
    fleet, (port,) = fleet_of()
    port.comes(TID, encode_error(1, "no such file"))
    fleet.serve(fleet.lanes[0], 1.5)
    assert port.take_sent() == [(SERVER, RRQ)]  # an ERROR is never answered
    (failure,) = fleet.counts.failures.values()
    assert failure.what == "file not found (server's error 1): no such file"
    assert failure.error is not None
    assert (failure.error.reason, failure.error.code) == (Reason.SERVER, 1)
    assert fleet.counts.first_block.count == 0


def test_other_tids_get_error_5_and_other_hosts_nothing() -> None:
    fleet, (port,) = fleet_of()
    port.comes(OTHER_HOST, data(1, b"y" * 512))
    port.comes(TID, data(1, b"x" * 512))
    port.comes(TID_2, data(1, b"y" * 512))
    port.comes(TID_2, encode_error(0, "not answered"))
    fleet.serve(fleet.lanes[0], 1.5)
    assert port.take_sent()[1:] == [(TID, encode_ack(1)), (TID_2, STRAY)]
    assert fleet.counts.failed == 0


def test_clients_ask_again_on_the_port_that_rested_longest() -> None:
    fleet, ports = fleet_of(b"x", clients=2, transfers=5, ports=4)
    for lane in (0, 1, 2):
        ports[lane].comes(TID, data(1, b"x"))
        fleet.serve(fleet.lanes[lane], 2.0)
        fleet.begin(2.0)
    asked = [port.sent.count((SERVER, RRQ)) for port in ports]
    assert asked == [2, 1, 1, 1]
    assert [fleet.lanes[lane].client for lane in (2, 3, 0)] == [1, 2, 1]


def test_a_port_at_rest_acknowledges_the_last_block_again() -> None:
    fleet, (first, second) = fleet_of(b"x", clients=1, transfers=2, ports=2)
    first.comes(TID, data(1, b"x"))
    fleet.serve(fleet.lanes[0], 2.0)
    fleet.begin(2.0)
    assert second.take_sent() == [(SERVER, RRQ)]
    first.take_sent()
    first.comes(TID, data(1, b"x"))
    fleet.serve(fleet.lanes[0], 3.0)
    assert first.take_sent() == [(TID, encode_ack(1))]
    fleet.stop()
    assert (fleet.counts.duplicates, fleet.counts.acks_resent, fleet.counts.done) == (1, 1, 1)


def test_what_is_late_does_not_choose_the_tid() -> None:
    octets = b"x" * 513
    fleet, (port,) = fleet_of(octets, transfers=2)
    port.comes(TID, data(1, octets[:512]))
    port.comes(TID, data(2, b"x"))
    fleet.serve(fleet.lanes[0], 2.0)
    fleet.begin(2.0)
    port.take_sent()
    port.comes(TID, data(2, b"x"))  # the last ACK was lost
    port.comes(TID_2, data(2, b"x"))  # and who is this?
    port.comes(TID_2, b"\0\3")
    fleet.serve(fleet.lanes[0], 2.1)
    assert port.take_sent() == [(TID, encode_ack(2))]
    port.comes(TID_2, data(1, octets[:512]))
    fleet.serve(fleet.lanes[0], 2.2)
    assert port.take_sent() == [(TID_2, encode_ack(1))]


@pytest.mark.parametrize("tid", [TID, SERVER])
def test_a_server_may_use_one_port_for_all_transfers(tid: bytes) -> None:
    fleet, (port,) = fleet_of(b"x", transfers=3)
    for now in (2.0, 3.0, 4.0):
        port.comes(tid, data(1, b"x"))
        fleet.serve(fleet.lanes[0], now)
        fleet.begin(now)
    assert fleet.counts.done == 3
    assert fleet.over


def test_a_request_is_sent_again_and_counted() -> None:
    fleet, (port,) = fleet_of(b"x")
    assert fleet.deadline == 2.0
    fleet.expire(1.9)
    assert len(port.sent) == 1
    fleet.expire(2.0)
    assert port.take_sent() == [(SERVER, RRQ)] * 2
    port.comes(TID, data(1, b"x"))
    fleet.serve(fleet.lanes[0], 2.5)
    fleet.stop()
    assert (fleet.counts.requests_resent, fleet.counts.acks_resent) == (1, 0)


def test_an_ack_is_sent_again_and_counted() -> None:
    fleet, (port,) = fleet_of()
    port.comes(TID, data(1, b"x" * 512))
    fleet.serve(fleet.lanes[0], 1.1)
    while port.sent[-1] == (TID, encode_ack(1)) and len(port.sent) < 3:
        fleet.expire(fleet.deadline)
    fleet.stop()
    assert (fleet.counts.requests_resent, fleet.counts.acks_resent) == (0, 1)


def test_silence_ends_the_fleet() -> None:
    fleet, _ = fleet_of(clients=2, transfers=100, ports=2)
    for _ in range(100):
        if fleet.over:
            break
        fleet.expire(fleet.deadline)
        fleet.begin(0.0)
    assert fleet.hopeless
    (failure,) = fleet.counts.failures.values()
    assert failure.what == "192.0.2.1:69 does not answer (any more)"
    assert failure.error is not None
    assert failure.error.reason is Reason.TIMEOUT
    assert failure.count == 2


def test_a_server_that_has_answered_gets_more_patience() -> None:
    fleet, (port,) = fleet_of(b"x", transfers=100)
    port.comes(TID, data(1, b"x"))
    fleet.serve(fleet.lanes[0], 1.0)
    for count in range(1, 17):
        assert not fleet.hopeless
        fleet.begin(1.0)
        port.comes(TID, encode_error(2, ""))
        fleet.serve(fleet.lanes[0], 1.0)
        assert fleet.counts.failed == count
    assert fleet.hopeless


def test_a_closed_port_is_a_failure_at_once() -> None:
    fleet, (port,) = fleet_of()
    port.closed_ports = [TID, SERVER]
    fleet.serve(fleet.lanes[0], 1.0)
    (failure,) = fleet.counts.failures.values()
    assert failure.error is not None
    assert failure.error.reason is Reason.CONNECT


def test_news_of_ports_that_are_none_of_ours() -> None:
    fleet, ports = fleet_of(ports=2)
    ports[0].closed_ports = [TID]
    ports[1].closed_ports = [SERVER]
    for lane in fleet.lanes:
        fleet.serve(lane, 1.0)
    assert fleet.counts.failed == 0


def test_many_clients_begin_bit_by_bit() -> None:
    clients = 2 * BEGUN_AT_ONCE_MAX + 1
    fleet, _ = fleet_of(clients=clients, ports=clients)
    assert fleet.counts.begun == BEGUN_AT_ONCE_MAX
    assert fleet.eager
    fleet.begin(1.0)
    fleet.begin(1.0)
    assert (fleet.counts.begun, fleet.eager) == (clients, False)


def test_breaking_off_tells_the_server() -> None:
    fleet, ports = fleet_of(clients=2, ports=3)
    ports[0].comes(TID, data(1, b"x" * 512))
    fleet.serve(fleet.lanes[0], 1.5)
    for port in ports:
        port.take_sent()
    fleet.stop()
    fleet.stop()
    ((peer, packet),) = ports[0].take_sent()
    assert (peer, decode_error(packet).message) == (TID, b"the measurement is over")
    assert [port.take_sent() for port in ports[1:]] == [[], []]  # 69 is no place for an ERROR
    assert (fleet.unfinished, fleet.octets, fleet.counts.blocks) == (2, 512, 1)
    assert fleet.over
    ports[0].comes(TID, data(2, b"x"))
    fleet.serve(fleet.lanes[0], 2.0)
    assert ports[0].take_sent() == []


def test_what_the_socket_does_not_take_is_sent_later_in_order() -> None:
    fleet, (port,) = fleet_of(b"x" * 1024)
    port.comes(TID, data(1, b"x" * 512))
    port.refusals = [Unsent(blocked=[Packet(TID, encode_ack(1))])]
    fleet.serve(fleet.lanes[0], 1.5)
    port.comes(TID, data(2, b"x" * 512))
    fleet.serve(fleet.lanes[0], 1.5)
    assert port.take_sent() == [(SERVER, RRQ)]
    assert fleet.deadline == 1.5 + RETRY_SECONDS
    fleet.expire(fleet.deadline)
    assert port.take_sent() == [(TID, encode_ack(1)), (TID, encode_ack(2))]


def test_a_block_that_is_too_large_for_the_network() -> None:
    ports = [Port()]
    fleet = Fleet(ports, SERVER, sends(600), 1)
    fleet.begin(1.0)
    ports[0].comes(TID, encode_ack(0))
    ports[0].refusals = [Unsent(failed=[(TID, errno.EMSGSIZE)])]
    fleet.serve(fleet.lanes[0], 1.5)
    (failure,) = fleet.counts.failures.values()
    assert failure.what == "blksize is too large for the network"


def test_an_upload_from_request_to_end() -> None:
    ports, done = [Port()], list[Job]()
    fleet = Fleet(ports, SERVER, sends(600), 1, done.append)
    fleet.begin(1.0)
    ((peer, wrq),) = ports[0].take_sent()
    assert (peer, wrq) == (SERVER, b"\0\2filebench-1-1\0octet\0")
    octets = Uploads(600).octets[1:601]
    for number in (0, 1):
        ports[0].comes(TID, encode_ack(number))
        fleet.serve(fleet.lanes[0], 1.5)
        piece = octets[number * 512 : (number + 1) * 512]
        assert ports[0].take_sent() == [(TID, data(number + 1, piece))]
    ports[0].comes(TID, encode_ack(2))
    fleet.serve(fleet.lanes[0], 2.0)
    fleet.stop()
    assert (fleet.counts.done, fleet.octets, fleet.counts.blocks) == (1, 600, 2)
    assert fleet.counts.first_block.quantile(1.0) == pytest.approx(0.5, rel=0.02)
    assert [job.name for job in done] == [b"filebench-1-1"]


def test_blocks_of_an_upload_that_are_sent_again_are_counted() -> None:
    ports = [Port()]
    fleet = Fleet(ports, SERVER, sends(600), 1)
    fleet.begin(1.0)
    ports[0].comes(TID, encode_ack(0))
    fleet.serve(fleet.lanes[0], 1.001)
    sent = len(ports[0].sent)
    while len(ports[0].sent) == sent:
        fleet.expire(fleet.deadline)
    fleet.stop()
    assert (fleet.counts.requests_resent, fleet.counts.blocks_resent) == (0, 1)


def test_what_a_server_grants_and_was_not_asked_for_is_a_failure() -> None:
    fleet, (port,) = fleet_of()
    port.comes(TID, oack((b"blksize", b"1024")))
    fleet.serve(fleet.lanes[0], 1.5)
    (failure,) = fleet.counts.failures.values()
    assert failure.what == "server granted blksize=1024, which was not asked for"
    assert decode_error(port.sent[-1][1]).code == 8
