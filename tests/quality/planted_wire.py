"""Bugs of the codec, of options and of netascii."""

from __future__ import annotations

from snowowl.wire import codec, options
from snowowl.wire.codec import Buffer, MalformedPacket
from snowowl.wire.netascii import Decoder
from snowowl.wire.packets import Mode, Options, ReadRequest, Request
from tests.quality.planting import Patch, bug, everywhere


@bug("rule R2", found_by="any value", usually=200, raises=(ValueError,))
def malformed_option_crashes(patch: Patch) -> None:
    """The value of an option is made a number without a look at it."""

    def parse_value(name: bytes, value_untrusted: bytes) -> int | None:
        bounds = options.RANGES.get(name)
        value = int(value_untrusted) if bounds else 0
        return value if bounds and bounds[0] <= value <= bounds[1] else None

    everywhere(patch, options.parse_value, parse_value)


@bug("SECURITY: work is bounded", found_by="many options", usually=1)
def unbounded_option_list(patch: Patch) -> None:
    """All the options that fit into a datagram are kept."""
    patch(codec, "OPTIONS_MAX", 1 << 20)


@bug("RFC 1350 5", found_by="what is left of a request", usually=300)
def unknown_mode_accepted(patch: Patch) -> None:
    """A mode that nobody knows is taken for octet."""

    class Anything(dict[bytes, Mode]):
        def get(self, key: bytes, default: object = None) -> Mode:
            return super().get(key) or Mode.OCTET

    patch(codec, "_MODES", Anything({mode.value: mode for mode in Mode}))


@bug("decoding is total", found_by="what is left of a request", usually=300, raises=(IndexError,))
def request_without_a_mode_crashes(patch: Patch) -> None:
    """A request is taken to have a file name and a mode."""

    def decode_request(datagram: Buffer) -> Request:
        if codec.opcode_of(datagram) not in (1, 2):
            raise MalformedPacket("no request", None)
        strings = bytes(datagram[2:]).split(b"\0")
        mode = codec._MODES.get(strings[1].lower())
        if mode is None:
            raise MalformedPacket("unknown mode", None)
        return ReadRequest(strings[0], mode, ())

    everywhere(patch, codec.decode_request, decode_request)


@bug("RFC 2347: an option counts once", found_by="what is left of a request", usually=300)
def last_of_doubled_options(patch: Patch) -> None:
    """Of an option that comes twice both are kept, and each is answered."""

    def read_options(strings: list[bytes]) -> Options:
        pairs = zip(strings[0::2], strings[1::2], strict=False)
        return tuple((name.lower(), value) for name, value in pairs if name)[:32]

    patch(codec, "_read_options", read_options)


@bug("RFC 1350 1", found_by="text in pieces", usually=100)
def carriage_return_at_the_boundary(patch: Patch) -> None:
    """A CR at the end of a block is taken by itself, its LF or NUL in the next block as well."""

    def decode(self: Decoder, octets: bytes) -> bytes:
        return octets.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")

    patch(Decoder, "decode", decode)


@bug("RFC 1350 1", found_by="a finished decoder", usually=1)
def last_carriage_return_lost(patch: Patch) -> None:
    """A CR that is the last octet of the file is held back for ever."""
    patch(Decoder, "finish", lambda self: b"")
