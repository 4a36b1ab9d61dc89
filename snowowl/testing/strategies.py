"""Packets for Hypothesis: valid ones, drawn around the edges, and near misses made of them."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from snowowl.wire.codec import encode, encode_ack, encode_data_header
from snowowl.wire.packets import Error, Mode, OptionAck, Options, ReadRequest, WriteRequest

EDGE_NUMBERS: Final = (0, 1, 2, 255, 256, 32766, 32767, 32768, 65534, 65535)
EDGE_VALUES: Final = (0, 1, 7, 8, 255, 256, 512, 1468, 32768, 65464, 65465, 65535, 65536, 2**63)

_KNOWN_NAMES: Final = (b"blksize", b"timeout", b"tsize", b"windowsize", b"rollover", b"multicast")


def texts(max_size: int = 20) -> st.SearchStrategy[bytes]:
    """Return octets that a packet can hold as a string."""
    return st.binary(max_size=max_size).map(lambda octets: octets.replace(b"\0", b""))


def block_numbers() -> st.SearchStrategy[int]:
    """Return block numbers, the edges more often."""
    return st.one_of(st.sampled_from(EDGE_NUMBERS), st.integers(0, 65535))


def option_values() -> st.SearchStrategy[bytes]:
    """Return values of options: numbers at the edges of ranges, and what is no number."""
    numbers = st.one_of(st.sampled_from(EDGE_VALUES), st.integers(0, 2**64))
    odd = st.sampled_from([b"", b"-1", b"+8", b" 8", b"8 ", b"0x8", b"1e3", b"00000512", b"abc"])
    return st.one_of(numbers.map(lambda number: b"%d" % number), odd, texts(25))


def option_maps(*, named: bool = False) -> st.SearchStrategy[Options]:
    """Return options, each name once and in lower case; only known names if `named`."""
    names = st.sampled_from(_KNOWN_NAMES)
    if not named:
        names = st.one_of(names, texts(8).filter(bool).map(bytes.lower))
    pairs = st.tuples(names, option_values())
    return st.lists(pairs, max_size=6, unique_by=lambda pair: pair[0]).map(tuple)


def read_requests() -> st.SearchStrategy[ReadRequest]:
    """Return RRQs."""
    return st.builds(ReadRequest, texts(), st.sampled_from(Mode), option_maps())


def write_requests() -> st.SearchStrategy[WriteRequest]:
    """Return WRQs."""
    return st.builds(WriteRequest, texts(), st.sampled_from(Mode), option_maps())


def option_acks() -> st.SearchStrategy[OptionAck]:
    """Return OACKs."""
    return st.builds(OptionAck, option_maps())


def errors() -> st.SearchStrategy[Error]:
    """Return ERRORs, with codes of no RFC too."""
    return st.builds(Error, st.one_of(st.integers(0, 9), st.integers(0, 65535)), texts(300))


def acks() -> st.SearchStrategy[bytes]:
    """Return the octets of ACKs."""
    return block_numbers().map(encode_ack)


def datas(size_max: int = 20) -> st.SearchStrategy[bytes]:
    """Return the octets of DATA packets."""
    return st.builds(
        lambda number, payload: encode_data_header(number) + payload,
        block_numbers(),
        st.binary(max_size=size_max),
    )


def valid_datagrams() -> st.SearchStrategy[bytes]:
    """Return the octets of packets of every kind."""
    objects = st.one_of(read_requests(), write_requests(), option_acks(), errors())
    return st.one_of(acks(), datas(), objects.map(encode))


def _flip(datagram: bytes, index: int, bit: int) -> bytes:
    if not datagram:
        return datagram
    octets = bytearray(datagram)
    octets[index % len(octets)] ^= 1 << bit
    return bytes(octets)


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """Draw a packet that was cut, spliced, changed by a bit, padded, or given an odd opcode."""
    datagram = draw(valid_datagrams())
    for damage in draw(
        st.lists(st.sampled_from(["cut", "splice", "flip", "pad", "opcode"]), max_size=3)
    ):
        where = draw(st.integers(0, len(datagram)))
        if damage == "cut":
            datagram = datagram[:where]
        elif damage == "splice":
            datagram = datagram[:where] + draw(valid_datagrams())[where:]
        elif damage == "flip":
            datagram = _flip(datagram, where, draw(st.integers(0, 7)))
        elif damage == "pad":
            datagram += draw(st.sampled_from([b"\0", b"\0" * 40, b"\xff", b"tail"]))
        else:
            datagram = draw(st.integers(0, 300)).to_bytes(2, "big") + datagram[2:]
    return datagram


def datagrams() -> st.SearchStrategy[bytes]:
    """Return whatever may come in: packets, near misses, noise, and next to nothing."""
    return st.one_of(
        valid_datagrams(), near_misses(), st.binary(max_size=64), st.binary(max_size=4)
    )
