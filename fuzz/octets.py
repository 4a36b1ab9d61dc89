"""Plays of what is pure: packets, options, netascii, addresses in URLs, and what logs make of names."""

from __future__ import annotations

import json
import re
from typing import Final

from snowowl.client.url import parse_url
from snowowl.content.names import DISPLAY_MAX, display
from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    RequestMalformed,
    RequestReceived,
    TransferFinished,
)
from snowowl.observe.log import Format, LogObserver
from snowowl.protocol.negotiation import Policy, Terms, check_grant, negotiate
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire import netascii
from snowowl.wire.codec import (
    Buffer,
    MalformedPacket,
    decode,
    decode_option_ack,
    encode,
    encode_error,
)
from snowowl.wire.constants import (
    BLKSIZE_MAX,
    BLKSIZE_MIN,
    ERROR_MESSAGE_MAX,
    OPTIONS_MAX,
    TIMEOUT_MAX,
    TSIZE_MAX,
    WINDOWSIZE_MAX,
    Opcode,
)
from snowowl.wire.options import RANGES, parse_value
from snowowl.wire.packets import Error, Mode, OptionAck, Options, ReadRequest, WriteRequest

ANSWER_MAX: Final = 4 + ERROR_MESSAGE_MAX + 1
"""Octets of the ERROR that answers a request that is none."""


class Decoding:
    """Datagrams through the codec."""

    def __init__(self) -> None:
        self.datagrams = 0

    def decode(self, datagram: bytes) -> None:
        """Decode as bytes and in the buffers that sockets give."""
        self.datagrams += 1
        packet = self._decoded(datagram)
        for buffer in (memoryview(datagram), bytearray(datagram)):
            assert self._decoded(buffer) == packet, "what a datagram means depends on its buffer"
        if packet is None:
            return
        again = encode(packet)
        assert decode(again) == packet, "encoded and decoded again it is another packet"
        assert len(again) <= len(datagram) + 1, "it grows on its way"
        if not isinstance(packet, Error):
            names = [name for name, _ in packet.options]
            assert len(set(names)) == len(names) <= OPTIONS_MAX
            assert all(name and name == name.lower() for name in names)

    def _decoded(self, datagram: Buffer) -> ReadRequest | WriteRequest | OptionAck | Error | None:
        try:
            return decode(datagram)
        except MalformedPacket as malformed:
            if malformed.code is not None:
                answer = encode_error(malformed.code, malformed.reason)
                assert len(answer) <= ANSWER_MAX
                assert answer[4:-1].isascii()
                opcode = int.from_bytes(datagram[:2], "big")
                quiet = (Opcode.DATA, Opcode.ACK, Opcode.ERROR, Opcode.OACK)
                assert len(datagram) >= 2, "noise is answered"
                assert opcode not in quiet, "a stray packet is answered"
            return None

    def close(self) -> None:
        """There is nothing to end."""


class Negotiating:
    """Options through both sides of a negotiation."""

    def __init__(self) -> None:
        self.datagrams = 0

    def options(
        self, reading: int, options: tuple[tuple[bytes, bytes], ...], size: int | None, limit: int
    ) -> None:
        """Ask for options, with a file of that size; the server's limits follow from `limit`."""
        self.datagrams += 1
        size = None if size is None else min(abs(size), TSIZE_MAX)  # no file is larger
        asked = dict(options)
        for name, value in options:
            number = parse_value(name, value)
            assert number is None or RANGES[name][0] <= number <= RANGES[name][1]
        policy = Policy(
            blksize_max=max(BLKSIZE_MIN, limit % (BLKSIZE_MAX + 1)),
            windowsize_max=max(1, limit % (WINDOWSIZE_MAX + 1)),
            rollover=(None, 0, 1)[limit % 3],
            refused_options=frozenset(list(RANGES)[: limit % 2]),
        )
        request = (ReadRequest if reading else WriteRequest)(b"f", Mode.OCTET, options)
        terms, answer = negotiate(request, policy, size if reading else None)
        assert (answer is None) == (not terms.granted)
        self._check_grant(asked, terms, policy)
        granted = [name for name, _ in terms.granted]
        assert granted == [name for name, _ in options if name in granted], "not the order asked"
        if answer is None:
            return
        packet = encode(answer)
        assert decode_option_ack(packet) == answer
        theirs = check_grant(options, answer)
        assert isinstance(theirs, Terms), f"our own client refuses our OACK: {theirs}"
        assert (theirs.blksize, theirs.windowsize) == (terms.blksize, terms.windowsize)

    def grant(self, asked: tuple[tuple[bytes, bytes], ...], datagram: bytes) -> None:
        """Have a server answer by any OACK."""
        self.datagrams += 1
        try:
            answer = decode_option_ack(datagram)
        except MalformedPacket:
            return
        terms = check_grant(asked, answer)
        if isinstance(terms, str):
            assert terms
            encode_error(8, terms)
            return
        wanted = dict(asked)
        assert all(name in wanted for name, _ in answer.options)
        assert BLKSIZE_MIN <= terms.blksize <= BLKSIZE_MAX
        assert 1 <= terms.windowsize <= WINDOWSIZE_MAX
        if terms.windowsize > 1:
            limit = parse_value(b"windowsize", wanted[b"windowsize"])
            assert limit is None or terms.windowsize <= limit

    @staticmethod
    def _check_grant(asked: dict[bytes, bytes], terms: Terms, policy: Policy) -> None:
        for name, octets in terms.granted:
            assert name in asked, "an option that nobody asked for"
            assert name not in policy.refused_options
            value, wanted = parse_value(name, octets), parse_value(name, asked[name])
            assert value is not None
            assert wanted is not None
            if name in (b"blksize", b"windowsize"):
                assert value <= wanted, "more than was asked for"
            elif name == b"timeout":
                assert value == wanted <= TIMEOUT_MAX
            elif name == b"tsize":
                assert value, "curl takes tsize=0 for an error"

    def close(self) -> None:
        """There is nothing to end."""


class Netascii:
    """A file through netascii, in pieces."""

    def __init__(self) -> None:
        self.datagrams = 0

    def netascii(self, octets: bytes, cuts: tuple[int, ...]) -> None:
        """Encode and decode octets that are cut at some places."""
        self.datagrams += 1
        sent = netascii.encode(octets)
        pieces = _cut(octets, cuts)
        assert b"".join(map(netascii.encode, pieces)) == sent
        assert sum(map(netascii.encoded_size, pieces)) == len(sent)
        assert self._decoded(_cut(sent, cuts)) == octets, "what was sent is not what comes"
        assert self._decoded(_cut(octets, cuts)) == _decoded_slowly(octets)

    @staticmethod
    def _decoded(pieces: list[bytes]) -> bytes:
        decoder = netascii.Decoder()
        return b"".join([decoder.decode(piece) for piece in pieces]) + decoder.finish()

    def close(self) -> None:
        """There is nothing to end."""


def _cut(octets: bytes, cuts: tuple[int, ...]) -> list[bytes]:
    places = sorted(cut % (len(octets) + 1) for cut in cuts)
    return [
        octets[start:stop] for start, stop in zip([0, *places], [*places, len(octets)], strict=True)
    ]


def _decoded_slowly(octets: bytes) -> bytes:
    """Decode netascii octet by octet (RFC 764), a bare CR as it is."""
    found = bytearray()
    index = 0
    while index < len(octets):
        pair = octets[index : index + 2]
        if pair in (b"\r\n", b"\r\0"):
            found += b"\n" if pair == b"\r\n" else b"\r"
            index += 2
        else:
            found.append(octets[index])
            index += 1
    return bytes(found)


class Urls:
    """URLs of the client."""

    def __init__(self) -> None:
        self.datagrams = 0

    def url(self, text: str) -> None:
        """Read a URL."""
        try:
            target = parse_url(text)
        except ValueError as error:
            assert str(error), "an error without words"
            return
        assert target.host.isprintable()
        assert 0 < target.port < 65536
        assert target.filename
        assert b"\0" not in target.filename
        request = ReadRequest(target.filename, target.mode)
        assert decode(encode(request)) == request
        assert target.server.endswith(f":{target.port}")

    def close(self) -> None:
        """There is nothing to end."""


_CONTROL: Final = re.compile(r"[^\x20-\x7e]")


class Logging:
    """What came from the network through every form of the log."""

    def __init__(self) -> None:
        self.datagrams = 0
        self._lines: list[str] = []
        forms: tuple[Format, ...] = ("console", "logfmt", "json")
        self._logs = {
            form: LogObserver(self._lines.append, form=form, level="debug") for form in forms
        }

    def log(self, name: bytes, text: str, options: tuple[tuple[bytes, bytes], ...]) -> None:
        """Tell of everything that holds octets of the network."""
        self.datagrams += 1
        shown = display(name)
        assert len(shown) <= DISPLAY_MAX
        assert not _CONTROL.search(shown)
        assert not set("'\"`") & set(shown)
        for event in self._events(name, text, options):
            for form in self._logs:
                self._check(form, event)

    @staticmethod
    def _events(name: bytes, text: str, options: Options) -> list[Event]:
        client = "192.0.2.9:2000"
        code = len(text) % 10
        finished = [
            TransferFinished(
                client=client,
                direction=Direction.WRITE,
                filename=name,
                mode=Mode.OCTET,
                granted=options,
                outcome=Outcome(kind, text, code),
                octets=len(name),
                seconds=0.5,
                retransmitted=1,
                detail=text,
            )
            for kind in OutcomeKind
        ]
        return [
            RequestReceived(client, Direction.READ, name, Mode.NETASCII, options),
            RequestMalformed(client, text, answered=True),
            *finished,
            InternalError("exchange", f"Traceback\n  {text}\n"),
        ]

    def _check(self, form: Format, event: Event) -> None:
        self._lines.clear()
        self._logs[form](event)
        (line,) = self._lines
        line.encode("utf-8", "backslashreplace")
        first, *rest = line.split("\n")
        # The lines of a traceback are indented, so that none can pass for one of the log.
        assert form == "console" or not rest, "more than one line"
        assert not rest or isinstance(event, InternalError)
        assert all(more.startswith("    ") for more in rest if more.strip())
        for one in (first, *rest):
            assert one.isprintable(), "something that steers a terminal"
        if form == "json":
            entry = json.loads(line)
            assert entry["level"] in ("debug", "info", "warning", "error")
        elif form == "logfmt":
            assert re.fullmatch(_LOGFMT, line), "not key=value"

    def close(self) -> None:
        """There is nothing to end."""


_LOGFMT: Final = (
    r'[a-z]+=(?:"(?:[^"\\]|\\.)*"|[^ ="\\]*)(?: [a-z]+=(?:"(?:[^"\\]|\\.)*"|[^ ="\\]*))*'
)
