"""A reader that checks: every wrong octet is found, by the short way and by the long one alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.client.load_content import Content
from snowowl.client.load_reader import CheckingReader, KeepingReader, Reader
from snowowl.protocol.actions import SendPacket
from snowowl.protocol.events import DatagramsReceived, TimerExpired
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.wire.codec import decode_error, encode, encode_ack, encode_data_header, encode_error
from snowowl.wire.packets import OptionAck, ReadRequest

OCTETS = bytes(range(256)) * 2
OPTIONS = ((b"blksize", b"16"), (b"windowsize", b"4"))
POLICY = RetransmitPolicy()


def checking(octets: bytes = OCTETS, *, options: bool = True) -> CheckingReader:
    request = ReadRequest(b"file", options=OPTIONS if options else ())
    reader = CheckingReader(request, encode(request), POLICY, Content(octets))
    assert reader.start(0.0) == (SendPacket(encode(request)),)
    if options:
        hear(reader, encode(OptionAck(OPTIONS)))
    return reader


def hear(reader: Reader, datagram: bytes, stride: int = 0, now: float = 1.0) -> list[bytes]:
    """Hand datagrams to a reader the way that a fleet does; return what it sends."""
    packet = None
    if isinstance(reader, CheckingReader):
        packet = reader.take_right(memoryview(datagram), stride or len(datagram), now)
    if packet is not None:
        return [packet] if packet else []
    event = DatagramsReceived(memoryview(datagram), stride or len(datagram), now)
    actions = reader.handle(event)
    assert all(isinstance(action, SendPacket) for action in actions)
    return [action.packet for action in actions if isinstance(action, SendPacket)]


def block(number: int, octets: bytes = OCTETS, blksize: int = 16) -> bytes:
    return encode_data_header(number & 0xFFFF) + octets[(number - 1) * blksize : number * blksize]


def test_right_octets_are_acknowledged_by_windows() -> None:
    reader = checking()
    sent = [hear(reader, block(number)) for number in range(1, 34)]
    assert sent == [
        [encode_ack(number)] if number % 4 == 0 or number == 33 else [] for number in range(1, 34)
    ]
    assert reader.outcome is not None
    assert reader.outcome.kind is OutcomeKind.COMPLETED
    assert (reader.octets, reader.blocks, reader.begun_at) == (len(OCTETS), 33, 1.0)
    assert (reader.duplicates, reader.out_of_order, reader.wrong) == (0, 0, "")


def test_a_run_of_datagrams_is_one_comparison() -> None:
    reader = checking()
    run = b"".join(block(number) for number in range(1, 5))
    assert reader.take_right(run, 20, 1.0) == encode_ack(4)
    tail = b"".join(block(number) for number in range(5, 8))
    assert reader.take_right(tail, 20, 1.0) == b""


def test_a_file_of_one_window_ends_in_one_run() -> None:
    reader = checking(b"x" * 40)
    run = b"".join(block(number, b"x" * 40) for number in range(1, 4))
    assert reader.take_right(run, 20, 1.0) == encode_ack(3)
    assert reader.outcome is not None


@pytest.mark.parametrize(
    ("datagrams", "stride"),
    [
        (block(2), 20),  # not the next one
        (block(1)[:10], 10),  # cut off
        (block(1) + block(2), 40),  # one datagram that holds two
        (b"".join(block(number) for number in range(1, 6)), 20),  # beyond the window
        (block(1)[:-1] + b"?", 20),
        (b"\0\5" + block(1)[2:], 20),  # no DATA
        (b"", 1),
    ],
)
def test_all_else_takes_the_long_way(datagrams: bytes, stride: int) -> None:
    reader = checking()
    assert reader.take_right(datagrams, stride, 1.0) is None
    assert (reader.blocks, reader.octets) == (0, 0)


@given(
    at=st.integers(0, len(OCTETS) - 1),
    change=st.integers(1, 255),
    stride=st.sampled_from([1, 2, 4]),
)
def test_every_wrong_octet_is_found_with_its_offset(at: int, change: int, stride: int) -> None:
    wrong = bytearray(OCTETS)
    wrong[at] ^= change
    reader = checking()
    sent: list[bytes] = []
    for number in range(1, 34, stride):
        run = [block(each, bytes(wrong)) for each in range(number, min(number + stride, 34))]
        sent += hear(reader, b"".join(run), 20)
        if reader.finished:
            break
    assert reader.wrong == f"wrong octets from offset {at} on"
    assert decode_error(sent[-1]).message == reader.wrong.encode()
    assert reader.outcome is not None
    assert reader.outcome.kind is OutcomeKind.REFUSED


@pytest.mark.parametrize("options", [True, False])
@pytest.mark.parametrize(
    ("came", "words"),
    [
        (OCTETS[:-5], "507 octets instead of 512"),
        (OCTETS + b"more", "more than the expected 512 octets"),
        (b"", "0 octets instead of 512"),
    ],
)
def test_a_file_that_is_too_short_or_too_long(came: bytes, words: str, options: bool) -> None:
    reader = checking(options=options)
    blksize = 16 if options else 512
    for number in range(1, len(came) // blksize + 2):
        hear(reader, block(number, came, blksize))
    assert reader.wrong == words
    assert reader.finished


def test_a_file_without_octets() -> None:
    reader = checking(b"")
    assert hear(reader, block(1, b"")) == [encode_ack(1)]
    assert reader.outcome is not None
    assert (reader.outcome.kind, reader.begun_at) == (OutcomeKind.COMPLETED, 1.0)


def test_a_server_that_knows_no_options() -> None:
    octets = bytes(1000)
    reader = checking(octets, options=False)
    assert hear(reader, block(1, octets, 512)) == [encode_ack(1)]
    assert reader.take_right(block(2, octets, 512), 492, 2.0) == encode_ack(2)
    assert reader.outcome is not None
    assert reader.begun_at == 1.0


def test_a_gap_is_told_and_what_came_in_vain_is_counted() -> None:
    reader = checking()
    hear(reader, block(1))
    assert hear(reader, block(3)) == [encode_ack(1)]
    assert hear(reader, block(4)) == []
    hear(reader, b"".join(block(number) for number in (2, 3, 4, 5)), 20)
    assert hear(reader, block(5)) == [encode_ack(5)]  # the ACK was lost
    assert (reader.duplicates, reader.out_of_order, reader.blocks) == (1, 2, 5)
    assert reader.retransmitted == 1


def test_a_late_last_block_is_acknowledged_again() -> None:
    reader = checking(b"end")
    assert hear(reader, block(1, b"end")) == [encode_ack(1)]
    assert hear(reader, block(1, b"end")) == [encode_ack(1)]
    assert reader.duplicates == 1


def test_noise_is_not_counted() -> None:
    reader = checking()
    for noise in (b"\0\3", b"\0\4\0\1", b"x"):
        assert hear(reader, noise) == []
    assert (reader.duplicates, reader.out_of_order) == (0, 0)


def test_an_error_behind_wrong_octets_in_one_run() -> None:
    reader = checking()
    run = block(1)[:-1] + b"?" + encode_error(0, "0123456789abcde")
    assert len(run) == 40
    hear(reader, run, 20)
    assert reader.finished
    assert reader.wrong == "wrong octets from offset 15 on"


def test_time_goes_on_with_right_blocks() -> None:
    reader = checking()
    hear(reader, block(1), now=5.0)
    assert reader.deadline > 5.0
    hear(reader, b"".join(block(number) for number in (2, 3, 4)), 20, now=7.0)
    assert reader.deadline > 7.0
    actions = reader.handle(TimerExpired(reader.deadline))
    assert actions == (SendPacket(encode_ack(4)),)


def test_more_blocks_than_there_are_numbers() -> None:
    octets = bytes(8 * 65540)
    request = ReadRequest(b"file", options=((b"blksize", b"8"),))
    reader = CheckingReader(request, encode(request), POLICY, Content(octets))
    reader.start(0.0)
    hear(reader, encode(OptionAck(request.options)))
    for number in range(1, 65542):
        assert hear(reader, block(number, octets, 8)) == [encode_ack(number & 0xFFFF)]
    assert reader.outcome is not None


def test_numbers_that_go_on_with_one_take_the_long_way() -> None:
    request = ReadRequest(b"file", options=((b"rollover", b"1"),))
    reader = CheckingReader(request, encode(request), POLICY, Content(b"octets"))
    reader.start(0.0)
    hear(reader, encode(OptionAck(request.options)))
    assert reader.take_right(block(1, b"octets", 512), 10, 1.0) is None
    assert hear(reader, block(1, b"octets", 512)) == [encode_ack(1)]
    assert reader.outcome is not None


def test_octets_are_kept() -> None:
    reader = KeepingReader(ReadRequest(b"file", options=OPTIONS), POLICY)
    reader.start(0.0)
    hear(reader, encode(OptionAck(OPTIONS)))
    for number in range(1, 34):
        hear(reader, block(number))
    assert reader.kept == OCTETS
    assert reader.outcome is not None
    assert reader.begun_at == 1.0
