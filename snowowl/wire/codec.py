"""Octets to packets and back.

Decoding is total: whatever the octets, `decode` returns a packet or raises `MalformedPacket`, and
nothing else.  It is also lenient where real boot clients are sloppy and nothing is lost by it:
options that cannot be read are left out, padding after the last option is ignored.  What the values
*mean* is decided in `snowowl.wire.options` and `snowowl.protocol.negotiation`, not here.
"""

from __future__ import annotations

import struct
from itertools import chain, islice
from typing import Final, assert_never

from snowowl.wire.constants import (
    ERROR_MESSAGE_MAX,
    ERROR_SIZE_FREE,
    HEADER_SIZE,
    OPTIONS_MAX,
    ErrorCode,
    Opcode,
)
from snowowl.wire.packets import (
    Error,
    Mode,
    OptionAck,
    Options,
    ReadRequest,
    Request,
    WriteRequest,
)

Buffer = bytes | bytearray | memoryview

_HEADER: Final = struct.Struct("!HH")
_NUMBERS: Final = 65536
"""Block numbers there are: 16 bits (RFC 1350 section 5)."""
_SHORT_TEXTS: Final[dict[int, bytes]] = {
    ErrorCode.NOT_DEFINED: b"try again",  # what is sent before a transfer: busy, no resources
    ErrorCode.FILE_NOT_FOUND: b"not found",
    ErrorCode.ACCESS_VIOLATION: b"denied",
    ErrorCode.DISK_FULL: b"disk full",
    ErrorCode.ILLEGAL_OPERATION: b"illegal",
    ErrorCode.UNKNOWN_TID: b"unknown TID",
    ErrorCode.FILE_EXISTS: b"file exists",
    ErrorCode.NO_SUCH_USER: b"no such user",
    ErrorCode.OPTION_REFUSED: b"bad options",
}
"""Texts of ERRORs that fit into `ERROR_SIZE_FREE`."""
_MODES: Final = {mode.value: mode for mode in Mode}


class MalformedPacket(Exception):  # noqa: N818 - the design's name for what happened
    """The datagram is not the TFTP packet that belongs here.

    `code` is the error to answer with, or None where silence is the right answer (an answer to
    noise makes an amplifier, an answer to an ERROR makes a loop).
    """

    def __init__(self, reason: str, code: ErrorCode | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def opcode_of(datagram: Buffer) -> int:
    """Return the opcode of a datagram, or 0 (which is none) if it is too short to have one."""
    return (datagram[0] << 8) | datagram[1] if len(datagram) >= 2 else 0


def block_number_of(datagram: Buffer) -> int:
    """Return the 16-bit block number of a DATA or ACK of at least four octets."""
    return (datagram[2] << 8) | datagram[3]


def encode_ack(number: int) -> bytes:
    """Return the ACK of a 16-bit block number (RFC 1350 section 5)."""
    return _HEADER.pack(Opcode.ACK, number)


def encode_data_header(number: int) -> bytes:
    """Return the four octets before the payload of DATA (RFC 1350 section 5)."""
    return _HEADER.pack(Opcode.DATA, number)


def data_headers(rollover: int) -> bytes:
    """Return headers of DATA, one after another, as blocks 0, 1, 2 ... have them.

    Four octets each.  After 65535 comes `rollover`, 0 or 1, and then as many again as a window may
    have blocks, so that the headers of a window are always one piece: it begins at `header_offset`.
    """
    numbers = chain(range(_NUMBERS), range(rollover, rollover + _NUMBERS))
    return b"".join(
        [_HEADER.pack(Opcode.DATA, number) for number in islice(numbers, 2 * _NUMBERS - 1)]
    )


def header_offset(block: int, rollover: int) -> int:
    """Return where in `data_headers` the header of a block is, by its absolute index."""
    if rollover == 0 or block == 0:
        return (block % _NUMBERS) * HEADER_SIZE
    return ((block - 1) % (_NUMBERS - 1) + 1) * HEADER_SIZE


def encode(packet: Request | OptionAck | Error) -> bytes:
    """Return the octets of a packet.

    Raises ValueError for what cannot be expressed: a NUL inside a string.
    """
    match packet:
        case ReadRequest(filename, mode, options):
            return _encode_strings(Opcode.RRQ, [filename, mode.value, *_flat(options)])
        case WriteRequest(filename, mode, options):
            return _encode_strings(Opcode.WRQ, [filename, mode.value, *_flat(options)])
        case OptionAck(options):
            return _encode_strings(Opcode.OACK, _flat(options))
        case Error(code, message):
            text = message[:ERROR_MESSAGE_MAX].replace(b"\0", b" ")
            return _HEADER.pack(Opcode.ERROR, code) + text + b"\0"
        case _:
            assert_never(packet)


def encode_error(code: int, message: str, asked_octets: int | None = None) -> bytes:
    """Return an ERROR whose text is reduced to printable ASCII, as boot consoles print it raw.

    With `asked_octets`, the length of the request that it answers, it is no longer than that, and a
    shorter text stands for one that is too long: who asked may be forged, and the victim of it is to
    get no more than was spent.  What fits into the smallest frame may always be said.
    """
    text = "".join(char if " " <= char <= "~" else "?" for char in message)
    packet = encode(Error(code, text.encode("ascii")))
    if asked_octets is None or len(packet) <= max(asked_octets, ERROR_SIZE_FREE):
        return packet
    return encode(Error(code, _SHORT_TEXTS.get(code, b"")))


def request_size(request: Request) -> int:
    """Return how many octets a request has, without what `decode_request` leaves out."""
    options = sum(len(name) + len(value) + 2 for name, value in request.options)
    return 2 + len(request.filename) + 1 + len(request.mode.value) + 1 + options


def decode_request(datagram: Buffer) -> Request:
    """Decode what arrives on the listening port: an RRQ or a WRQ (RFC 1350 section 5).

    Raises MalformedPacket; without a code for stray DATA, ACK, ERROR and OACK and for noise.
    """
    opcode = opcode_of(datagram)
    if opcode not in (Opcode.RRQ, Opcode.WRQ):
        raise _not_a_request(opcode, len(datagram))
    strings = bytes(datagram[2:]).split(b"\0")
    # What follows the last NUL is not a string: an empty rest, or one that was cut off.
    unterminated = strings.pop()
    if len(strings) < 2:
        reason = "request without file name" if not strings else "request without mode"
        if unterminated:
            reason += " (string without a NUL at its end)"
        raise MalformedPacket(reason, ErrorCode.ILLEGAL_OPERATION)
    mode = _MODES.get(strings[1].lower())
    if mode is None:
        raise MalformedPacket(f"unknown mode {strings[1][:16]!r}", ErrorCode.ILLEGAL_OPERATION)
    options = _read_options(strings[2:])
    if opcode == Opcode.RRQ:
        return ReadRequest(strings[0], mode, options)
    return WriteRequest(strings[0], mode, options)


def decode_option_ack(datagram: Buffer) -> OptionAck:
    """Decode an OACK (RFC 2347).  Raises MalformedPacket for any other opcode.

    A last value without its NUL counts: a client that left a blksize out would take the first block,
    which is shorter than the 512 octets it goes by then, for the end of the file.
    """
    if opcode_of(datagram) != Opcode.OACK:
        raise MalformedPacket("not an OACK", None)
    return OptionAck(_read_options(bytes(datagram[2:]).removesuffix(b"\0").split(b"\0")))


def decode_error(datagram: Buffer) -> Error:
    """Decode an ERROR (RFC 1350 section 5).

    curl sends four octets without a text, barebox six: both are accepted, as is a text without
    its NUL.  Raises MalformedPacket for any other opcode and for a datagram without a code.
    """
    if opcode_of(datagram) != Opcode.ERROR or len(datagram) < HEADER_SIZE:
        raise MalformedPacket("not an ERROR", None)
    message = bytes(datagram[HEADER_SIZE:]).partition(b"\0")[0]
    return Error(block_number_of(datagram), message[:ERROR_MESSAGE_MAX])


def decode(datagram: Buffer) -> Request | OptionAck | Error:
    """Decode any packet that is an object.  Raises MalformedPacket; for DATA and ACK too."""
    opcode = opcode_of(datagram)
    if opcode == Opcode.OACK:
        return decode_option_ack(datagram)
    if opcode == Opcode.ERROR:
        return decode_error(datagram)
    return decode_request(datagram)


def _not_a_request(opcode: int, length: int) -> MalformedPacket:
    if length < 2:
        return MalformedPacket("datagram too short for an opcode", None)
    if opcode in (Opcode.DATA, Opcode.ACK, Opcode.ERROR, Opcode.OACK):
        # The tftp-hpa client sends an ACK after each ERROR, late packets of ended transfers come
        # here too: they are nobody's business.
        return MalformedPacket(f"stray {Opcode(opcode).name}", None)
    return MalformedPacket(f"unknown opcode {opcode}", ErrorCode.ILLEGAL_OPERATION)


def _read_options(strings: list[bytes]) -> Options:
    """Pair names with values; an option given twice counts once, as RFC 2347 has it."""
    options: dict[bytes, bytes] = {}
    for name, value in zip(strings[0::2], strings[1::2], strict=False):
        if not name:  # padding, seen after the mode and after the last option
            break
        options.setdefault(name.lower(), value)
        if len(options) == OPTIONS_MAX:
            break
    return tuple(options.items())


def _flat(options: Options) -> list[bytes]:
    return [string for option in options for string in option]


def _encode_strings(opcode: Opcode, strings: list[bytes]) -> bytes:
    if any(b"\0" in string for string in strings):
        raise ValueError("a string in a TFTP packet cannot hold a NUL")
    return opcode.to_bytes(2, "big") + b"".join(string + b"\0" for string in strings)
