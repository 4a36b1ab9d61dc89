"""Valid packets: of RFC 1350, with the options of RFC 2347, 2348, 2349 and 7440.  Nothing damaged.

RRQ, WRQ, OACK and ERROR are objects of `snowowl.wire.packets`, and octets by
`snowowl.wire.codec.encode`; DATA and ACK are octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from hypothesis import strategies as st

from snowowl.testing.strategies.names import names
from snowowl.testing.strategies.octets import brief
from snowowl.testing.strategies.values import (
    blksizes,
    block_numbers,
    option_values,
    sizes,
    windowsizes,
)
from snowowl.wire.codec import encode, encode_ack, encode_data_header
from snowowl.wire.packets import Error, Mode, OptionAck, Options, ReadRequest, WriteRequest

OPTION_NAMES: Final = (b"blksize", b"timeout", b"tsize", b"windowsize", b"rollover", b"multicast")
"""Those of RFC 2348, 2349, 7440 and 2090, and one of tftp-hpa."""

Packet = ReadRequest | WriteRequest | OptionAck | Error

_MODES: Final = (Mode.OCTET, Mode.NETASCII)


def texts(max_size: int = 20) -> st.SearchStrategy[bytes]:
    """Return octets that a packet can hold as a string: any but NUL."""
    return st.binary(max_size=max_size).map(lambda octets: octets.replace(b"\0", b""))


def option_maps(*, named: bool = False, valid: bool = False) -> st.SearchStrategy[Options]:
    """Return options, each name once and in lower case, in any order.

    Only known names if `named`; only values that their RFC allows, too, if `valid`.

    >>> from hypothesis import find
    >>> find(option_maps(valid=True), lambda options: dict(options).get(b"blksize") == b"1469")
    ((b'blksize', b'1469'),)
    """
    if valid:
        return _valid_options()
    known = st.sampled_from(OPTION_NAMES)
    keys = known if named else st.one_of(known, texts(8).filter(bool).map(bytes.lower))
    pairs = st.tuples(keys, option_values())
    return st.lists(pairs, max_size=6, unique_by=lambda pair: pair[0]).map(tuple)


@cache
def _valid_options() -> st.SearchStrategy[Options]:
    ranges = (
        (b"blksize", blksizes()),
        (b"timeout", st.integers(1, 255)),
        (b"tsize", st.one_of(st.just(0), sizes(), st.integers(0, 2**40))),
        (b"windowsize", windowsizes()),
        (b"rollover", st.integers(0, 1)),
    )
    pairs = st.one_of(
        [
            st.tuples(st.just(name), values.map(lambda value: b"%d" % value))
            for name, values in ranges
        ]
    )
    return st.lists(pairs, max_size=5, unique_by=lambda pair: pair[0]).map(tuple)


def read_requests(
    *,
    filenames: st.SearchStrategy[bytes] | None = None,
    options: st.SearchStrategy[Options] | None = None,
    modes: Sequence[Mode] = tuple(Mode),
) -> st.SearchStrategy[ReadRequest]:
    """Return RRQs (RFC 1350 section 5); of these file names, options and modes if any are given.

    Without, names are any octets, and options are any: see `option_maps`.
    """
    return st.builds(ReadRequest, _filenames(filenames), st.sampled_from(modes), _options(options))


def write_requests(
    *,
    filenames: st.SearchStrategy[bytes] | None = None,
    options: st.SearchStrategy[Options] | None = None,
    modes: Sequence[Mode] = tuple(Mode),
) -> st.SearchStrategy[WriteRequest]:
    """Return WRQs (RFC 1350 section 5); as `read_requests`."""
    return st.builds(WriteRequest, _filenames(filenames), st.sampled_from(modes), _options(options))


def _filenames(filenames: st.SearchStrategy[bytes] | None) -> st.SearchStrategy[bytes]:
    return st.one_of(texts(), names()) if filenames is None else filenames


def _options(options: st.SearchStrategy[Options] | None) -> st.SearchStrategy[Options]:
    return option_maps() if options is None else options


def option_acks(*, asked: Options | None = None) -> st.SearchStrategy[OptionAck]:
    """Return OACKs (RFC 2347): any, or only such as may answer the options that were `asked`.

    Those hold one of the options at least, in the order asked; numbers are never larger than asked,
    but for tsize, which is the server's to tell.

    >>> from hypothesis import find
    >>> find(option_acks(asked=((b"blksize", b"1468"), (b"tsize", b"0"))), lambda oack: True)
    OptionAck(options=((b'blksize', b'8'),))
    """
    if asked is None:
        return st.builds(OptionAck, option_maps())
    grants = [grant for name, value in asked for grant in _grants(name, value)]
    if not grants:
        return st.just(OptionAck(()))

    def choose(options: Options, chosen: set[int]) -> OptionAck:
        return OptionAck(tuple(options[index] for index in sorted(chosen)))

    indexes = st.sets(st.integers(0, len(grants) - 1), min_size=1)
    return st.builds(choose, st.tuples(*grants), indexes)


def _grants(name: bytes, value: bytes) -> Iterator[st.SearchStrategy[tuple[bytes, bytes]]]:
    """Yield the ways to grant one option, if there are any."""
    grants: st.SearchStrategy[int]
    asked = int(value) if value.isdigit() and len(value) < 20 else -1
    if name == b"tsize" and asked >= 0:
        grants = sizes()
    elif name == b"blksize" and asked >= 8:
        grants = st.one_of(st.just(8), st.integers(8, min(asked, 65464)))
    elif name == b"windowsize" and asked >= 1:
        grants = st.one_of(st.just(1), st.integers(1, min(asked, 65535)))
    elif name == b"timeout" and 1 <= asked <= 255:
        grants = st.just(asked)  # RFC 2349: the same value, or none
    else:
        return
    yield grants.map(lambda number: (name, b"%d" % number))


@cache
def errors() -> st.SearchStrategy[Error]:
    """Return ERRORs (RFC 1350 section 5), with codes of no RFC too."""
    return st.builds(Error, st.one_of(st.integers(0, 9), st.integers(0, 65535)), texts(300))


def acks(*, near: int | None = None, reach: int = 2) -> st.SearchStrategy[bytes]:
    """Return the octets of ACKs; of the block numbers around one if `near`.

    A window of RFC 7440 is tried by a `reach` of its size and one.
    """
    return block_numbers(near=near, reach=reach).map(encode_ack)


def payloads(*, blksize: int = 512) -> st.SearchStrategy[bytes]:
    """Return the octets of one block: empty, whole, one octet short, and few.

    They repeat a few octets, so that the largest cost Hypothesis no more than the smallest.
    """
    lengths = st.one_of(st.sampled_from((0, blksize, blksize - 1)), st.integers(0, blksize))
    patterns = st.binary(min_size=1, max_size=4)
    return st.builds(lambda octets, length: brief((octets * length)[:length]), patterns, lengths)


def datas(
    size_max: int = 20, *, near: int | None = None, reach: int = 2, blksize: int | None = None
) -> st.SearchStrategy[bytes]:
    """Return the octets of DATA: of up to `size_max` octets, or such as blocks of `blksize` have.

    Of the block numbers around one if `near`.
    """
    contents = st.binary(max_size=size_max) if blksize is None else payloads(blksize=blksize)
    return st.builds(
        lambda number, payload: brief(encode_data_header(number) + payload),
        block_numbers(near=near, reach=reach),
        contents,
    )


@cache
def valid_packets() -> st.SearchStrategy[Packet]:
    """Return packets of every kind that is an object."""
    return st.one_of(read_requests(), write_requests(), option_acks(), errors())


def well_formed_requests(
    *, filenames: st.SearchStrategy[bytes] | None = None
) -> st.SearchStrategy[ReadRequest | WriteRequest]:
    """Return requests that no server has a reason to refuse, but for their file names."""
    options = option_maps(valid=True)
    return st.one_of(
        read_requests(filenames=filenames, options=options, modes=_MODES),
        write_requests(filenames=filenames, options=options, modes=_MODES),
    )


@cache
def valid_datagrams() -> st.SearchStrategy[bytes]:
    """Return the octets of packets of every kind."""
    return st.one_of(acks(), datas(), valid_packets().map(encode))
