from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snowowl.testing.strategies import datagrams, errors, option_acks, read_requests, write_requests
from snowowl.wire.codec import (
    MalformedPacket,
    block_number_of,
    data_headers,
    decode,
    decode_error,
    decode_option_ack,
    decode_request,
    encode,
    encode_ack,
    encode_data_header,
    encode_error,
    header_offset,
    opcode_of,
    request_size,
)
from snowowl.wire.constants import (
    ERROR_MESSAGE_MAX,
    ERROR_SIZE_FREE,
    OPTIONS_MAX,
    ErrorCode,
    Opcode,
)
from snowowl.wire.packets import Error, Mode, OptionAck, ReadRequest, Request, WriteRequest

# What real clients send, octet for octet (captured; the names are ours).
CURL = b"\0\1pxelinux.0\0octet\0tsize\0000\0blksize\000512\0timeout\0006\0"
EDK2 = b"\0\1boot.efi\0octet\0tsize\0000\0blksize\0001468\0windowsize\0004\0"
HPA = b"\0\1file\0netascii\0"
BUSYBOX_PUT = b"\0\2log\0octet\0tsize\000123\0"


Packet = TypeVar("Packet")


def attempt(decoder: Callable[[bytes], Packet], datagram: bytes) -> Packet | MalformedPacket:
    """Return the packet, or the one exception that is documented."""
    try:
        return decoder(datagram)
    except MalformedPacket as malformed:
        return malformed


@pytest.mark.rfc("1350 5")
@pytest.mark.rfc("2347")
@pytest.mark.parametrize(
    ("datagram", "packet"),
    [
        (
            CURL,
            ReadRequest(
                b"pxelinux.0",
                Mode.OCTET,
                ((b"tsize", b"0"), (b"blksize", b"512"), (b"timeout", b"6")),
            ),
        ),
        (
            EDK2,
            ReadRequest(
                b"boot.efi",
                Mode.OCTET,
                ((b"tsize", b"0"), (b"blksize", b"1468"), (b"windowsize", b"4")),
            ),
        ),
        (HPA, ReadRequest(b"file", Mode.NETASCII)),
        (BUSYBOX_PUT, WriteRequest(b"log", Mode.OCTET, ((b"tsize", b"123"),))),
    ],
)
def test_requests_of_real_clients(datagram: bytes, packet: ReadRequest | WriteRequest) -> None:
    assert decode_request(datagram) == packet
    assert decode_request(memoryview(datagram)) == packet
    assert encode(packet) == datagram


@pytest.mark.rfc("1350 5")
def test_mode_and_option_names_are_read_in_any_case() -> None:
    request = decode_request(b"\0\1F\0OcTeT\0BlkSize\0008\0")
    assert request == ReadRequest(b"F", Mode.OCTET, ((b"blksize", b"8"),))


@pytest.mark.rule("R13")
def test_a_file_name_is_octets() -> None:
    assert decode_request(b"\0\1\xff\xc3\x28\\x\0octet\0").filename == b"\xff\xc3\x28\\x"
    assert decode_request(b"\0\1\0octet\0").filename == b""


@pytest.mark.rule("R2")
@pytest.mark.parametrize(
    ("tail", "options"),
    [
        (b"blksize", ()),  # cut off in the name
        (b"blksize\0", ()),  # no value
        (b"blksize\00051", ()),  # cut off in the value
        (b"blksize\0008\0ts", ((b"blksize", b"8"),)),
        (b"\0\0\0\0", ()),  # padding after the mode
        (b"blksize\0008\0\0\0\0", ((b"blksize", b"8"),)),  # padding after the last option
        (b"blksize\0\0", ((b"blksize", b""),)),  # an empty value is for negotiation to leave out
        (b"\xff\xff", ()),
        (b"foo\0bar\0", ((b"foo", b"bar"),)),
    ],
)
def test_options_that_cannot_be_read_are_left_out(
    tail: bytes, options: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert decode_request(b"\0\1f\0octet\0" + tail).options == options


@pytest.mark.rfc("2347")
def test_an_option_counts_once() -> None:
    request = decode_request(b"\0\1f\0octet\0blksize\0008\0BLKSIZE\0009\0")
    assert request.options == ((b"blksize", b"8"),)


@pytest.mark.parametrize(
    ("decoder", "datagram", "reason"),
    [
        (decode_request, b"\0", "datagram too short for an opcode"),
        (decode_request, b"\0\1", "request without file name"),
        (
            decode_request,
            b"\0\1name",
            "request without file name (string without a NUL at its end)",
        ),
        (decode_request, b"\0\1name\0", "request without mode"),
        (decode_request, b"\0\2f\0" + b"m" * 40 + b"\0", f"unknown mode {b'm' * 16!r}"),
        (decode_option_ack, b"\0\5", "not an OACK"),
        (decode_error, b"\0\6", "not an ERROR"),
    ],
)
def test_what_is_wrong_is_told_in_words(
    decoder: Callable[[bytes], object], datagram: bytes, reason: str
) -> None:
    """To the operator; and to the peer, if it is answered."""
    with pytest.raises(MalformedPacket) as caught:
        decoder(datagram)
    assert caught.value.reason == str(caught.value) == reason


def test_text_for_a_boot_console_is_printable_ascii() -> None:
    assert encode_error(0, " a~\x7f\n\u00e9") == b"\0\5\0\0 a~???\0"


@given(st.integers(0, 65535), st.text(max_size=300), st.integers(0, 600))
def test_an_error_is_no_longer_than_what_it_answers(
    code: int, message: str, asked_octets: int
) -> None:
    """But for what costs nothing: a frame cannot be shorter."""
    packet = encode_error(code, message, asked_octets)
    assert len(packet) <= max(asked_octets, ERROR_SIZE_FREE)
    assert decode_error(packet).code == code
    if len(encode_error(code, message)) <= max(asked_octets, ERROR_SIZE_FREE):
        assert packet == encode_error(code, message)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_an_error_says_something_even_to_the_shortest_request(code: ErrorCode) -> None:
    assert len(decode_error(encode_error(code, "x" * 99, 0)).message) >= 6


@given(read_requests() | write_requests())
def test_the_size_of_a_request_is_that_of_its_octets(request: Request) -> None:
    assert request_size(request) == len(encode(request))


def test_a_nul_in_a_string_is_told() -> None:
    with pytest.raises(ValueError, match=r"^a string in a TFTP packet cannot hold a NUL$"):
        encode(ReadRequest(b"a\0b"))


def test_there_is_a_limit_to_options() -> None:
    tail = b"".join(b"option%d\0%d\0" % (index, index) for index in range(OPTIONS_MAX + 5))
    assert len(decode_request(b"\0\1f\0octet\0" + tail).options) == OPTIONS_MAX


@pytest.mark.parametrize(
    ("datagram", "code", "reason"),
    [
        (b"", None, "too short"),
        (b"\0", None, "too short"),
        (b"\0\1", ErrorCode.ILLEGAL_OPERATION, "without file name"),
        (b"\0\1name", ErrorCode.ILLEGAL_OPERATION, "without a NUL"),
        (b"\0\1name\0", ErrorCode.ILLEGAL_OPERATION, "without mode"),
        (b"\0\1name\0octet", ErrorCode.ILLEGAL_OPERATION, "without a NUL"),
        (b"\0\1name\0binary\0", ErrorCode.ILLEGAL_OPERATION, "unknown mode"),
        (b"\0\0", ErrorCode.ILLEGAL_OPERATION, "unknown opcode 0"),
        (b"\0\x07f\0octet\0", ErrorCode.ILLEGAL_OPERATION, "unknown opcode 7"),  # EDK2's directory
        (b"\1\1f\0octet\0", ErrorCode.ILLEGAL_OPERATION, "unknown opcode 257"),
    ],
)
def test_what_is_no_request(datagram: bytes, code: ErrorCode | None, reason: str) -> None:
    with pytest.raises(MalformedPacket, match=reason) as caught:
        decode_request(datagram)
    assert caught.value.code is code
    assert caught.value.reason == str(caught.value)


@pytest.mark.rule("R8")
@pytest.mark.parametrize(
    "datagram", [encode_ack(1), encode_data_header(1), encode_error(1, "x"), b"\0\6"]
)
def test_strays_on_the_listening_port_get_no_answer(datagram: bytes) -> None:
    with pytest.raises(MalformedPacket, match="stray") as caught:
        decode_request(datagram)
    assert caught.value.code is None


@pytest.mark.rule("R4")
@pytest.mark.parametrize(
    ("datagram", "packet"),
    [
        (b"\0\5\0\0", Error(0)),  # curl
        (b"\0\5\0\0\0\0", Error(0)),  # barebox
        (b"\0\5\0\x08User aborted the transfer\0", Error(8, b"User aborted the transfer")),
        (b"\0\5\0\2no NUL", Error(2, b"no NUL")),
        (b"\0\5\xff\xffx\0junk", Error(65535, b"x")),
    ],
)
def test_errors_of_real_clients(datagram: bytes, packet: Error) -> None:
    assert decode_error(datagram) == packet
    assert decode(datagram) == packet


@pytest.mark.parametrize("datagram", [b"", b"\0\5", b"\0\5\0", b"\0\4\0\1"])
def test_what_is_no_error(datagram: bytes) -> None:
    with pytest.raises(MalformedPacket, match="not an ERROR") as caught:
        decode_error(datagram)
    assert caught.value.code is None


@pytest.mark.rfc("2347")
def test_an_oack_keeps_the_order_of_its_options() -> None:
    datagram = b"\0\6tsize\0007\0blksize\0008\0"
    assert decode_option_ack(datagram) == OptionAck(((b"tsize", b"7"), (b"blksize", b"8")))
    assert decode(datagram) == decode_option_ack(datagram)
    assert encode(decode_option_ack(datagram)) == datagram


@pytest.mark.rfc("2347")
def test_an_oack_whose_last_nul_is_missing_says_what_it_says() -> None:
    """Left out, a blksize of 100 would be 512, and the first block the end of the file."""
    assert decode_option_ack(b"\0\6blksize\000100") == OptionAck(((b"blksize", b"100"),))
    two = OptionAck(((b"tsize", b"7"), (b"blksize", b"100")))
    assert decode_option_ack(b"\0\6tsize\0007\0blksize\000100") == two
    # What follows the last option, and is none, is padding.
    assert decode_option_ack(b"\0\6blksize\000100\0junk") == OptionAck(((b"blksize", b"100"),))
    assert decode_option_ack(b"\0\6blksize") == OptionAck(())


def test_what_is_no_oack() -> None:
    with pytest.raises(MalformedPacket, match="not an OACK"):
        decode_option_ack(encode_ack(0))


@pytest.mark.rule("R1")
def test_an_oack_ends_with_the_nul_of_its_last_value() -> None:
    assert encode(OptionAck(((b"blksize", b"8"),))) == b"\0\6blksize\0008\0"


def test_a_nul_cannot_be_expressed() -> None:
    with pytest.raises(ValueError, match="NUL"):
        encode(ReadRequest(b"a\0b"))


def test_the_text_of_an_error_is_short_and_ascii() -> None:
    packet = encode_error(ErrorCode.DISK_FULL, "Gr\u00f6\u00dfe\x1b[2J\0 ok")
    assert packet == b"\0\5\0\3Gr??e?[2J? ok\0"
    assert len(encode_error(0, "x" * 5000)) == 4 + ERROR_MESSAGE_MAX + 1
    assert encode(Error(0, b"a\0b")) == b"\0\5\0\0a b\0"


@pytest.mark.rfc("1350 5")
def test_data_and_ack() -> None:
    assert encode_ack(0x1234) == b"\0\4\x12\x34"
    assert encode_data_header(0x1234) == b"\0\3\x12\x34"
    assert opcode_of(encode_ack(7)) == Opcode.ACK
    assert block_number_of(memoryview(encode_data_header(0xFFFE))) == 0xFFFE
    assert opcode_of(b"") == opcode_of(b"\1") == 0


@pytest.mark.rule("R11")
@pytest.mark.parametrize("rollover", [0, 1])
def test_headers_of_a_window_are_one_piece_of_the_table(rollover: int) -> None:
    table = data_headers(rollover)
    numbers, number = [0], 0
    for _ in range(140_000):
        number = number + 1 if number < 65535 else rollover
        numbers.append(number)
    for first in (0, 1, 2, 65534, 65535, 65536, 65537, 131_069, 131_070, 131_071, 131_072):
        offset = header_offset(first, rollover)
        for count in (1, 2, 3, 200):
            expected = b"".join(map(encode_data_header, numbers[first : first + count]))
            assert table[offset : offset + 4 * count] == expected
    assert len(table) >= 4 * (65536 + 65535)  # the longest window, wherever it begins


@given(st.one_of(read_requests(), write_requests(), option_acks(), errors()))
@example(Error(65535, b"x" * 256))
def test_what_is_encoded_decodes_to_itself(
    packet: ReadRequest | WriteRequest | OptionAck | Error,
) -> None:
    expected = packet
    if isinstance(packet, Error):
        expected = Error(packet.code, packet.message[:ERROR_MESSAGE_MAX])
    assert decode(encode(packet)) == expected


@given(datagrams())
@example(b"\0\1\0\0")
@example(b"\0\6")
@example(b"\0\1f\0octet\0" + b"\0" * 60000)
def test_decoding_is_total_and_stable(datagram: bytes) -> None:
    packet = attempt(decode, datagram)
    if not isinstance(packet, MalformedPacket):
        assert decode(memoryview(bytearray(datagram))) == packet
        assert decode(encode(packet)) == packet


def _damaged(octets: bytes, cut: int, tail: bytes, *, again: bool) -> bytes:
    """Return a request that was cut, or ends in something else, or whose options come twice."""
    filename, mode, *options = octets[2:-1].split(b"\0")
    doubled = [filename, mode, *options, *options[: 2 * again]]
    return (octets[:2] + b"".join(each + b"\0" for each in doubled))[:cut] + tail


requests = st.one_of(read_requests(), write_requests()).map(encode)
damaged_requests = st.one_of(
    requests,
    st.builds(
        _damaged,
        requests,
        st.integers(0, 40) | st.just(9999),
        st.binary(max_size=2),
        again=st.booleans(),
    ),
    st.builds(lambda mode: b"\0\2name\0" + mode + b"\0", st.sampled_from([b"oct", b"octet8", b""])),
)


@given(damaged_requests)
def test_what_is_left_of_a_request_is_read_as_it_stands(datagram: bytes) -> None:
    packet = attempt(decode_request, datagram)
    if not isinstance(packet, MalformedPacket):
        filename, mode = datagram[2:].split(b"\0")[:2]
        assert (packet.filename, packet.mode.value) == (filename, mode.lower())
        assert len(dict(packet.options)) == len(packet.options) <= OPTIONS_MAX


@given(datagrams())
def test_each_decoder_is_total(datagram: bytes) -> None:
    for decoder in (decode_request, decode_option_ack, decode_error):
        packet = attempt(decoder, datagram)
        if isinstance(packet, MalformedPacket):
            # Only what could have been meant as a request is answered at all.
            assert packet.code in (None, ErrorCode.ILLEGAL_OPERATION)
            assert packet.code is None or decoder is decode_request
    assert 0 <= opcode_of(datagram) <= 65535
