from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.wire import netascii

near_text = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", b"\r\n", b"\r\0"])).map(b"".join)


def decoded(*pieces: bytes) -> bytes:
    decoder = netascii.Decoder()
    return b"".join(decoder.decode(piece) for piece in pieces) + decoder.finish()


@pytest.mark.rfc("1350 1")
@pytest.mark.parametrize(
    ("octets", "wire"),
    [
        (b"", b""),
        (b"a\nb", b"a\r\nb"),
        (b"a\rb", b"a\r\0b"),
        (b"a\r\nb", b"a\r\0\r\nb"),
        (b"\n\n", b"\r\n\r\n"),
        (b"a\0b", b"a\0b"),
    ],
)
def test_line_ends_and_bare_returns(octets: bytes, wire: bytes) -> None:
    assert netascii.encode(octets) == wire
    assert netascii.encoded_size(octets) == len(wire)
    assert decoded(wire) == octets


@pytest.mark.parametrize(
    ("wire", "octets"),
    [
        (b"a\nb", b"a\nb"),
        (b"a\rb", b"a\rb"),
        (b"\r\r\n", b"\r\n"),
        (b"\r\r\0", b"\r\r"),
        (b"\r", b"\r"),
    ],
)
def test_what_the_rfc_forbids_is_kept_as_it_is(wire: bytes, octets: bytes) -> None:
    assert decoded(wire) == octets


def test_a_line_end_may_be_cut_in_two() -> None:
    assert decoded(b"a\r", b"\nb\r", b"\0", b"c\r") == b"a\nb\rc\r"
    assert decoded(b"a\r", b"", b"\n") == b"a\n"


def test_a_finished_decoder_holds_nothing_back() -> None:
    decoder = netascii.Decoder()
    decoder.decode(b"a\r")
    assert decoder.finish() == b"\r"
    assert decoder.finish() == b""


@given(st.one_of(st.binary(), near_text))
def test_a_file_comes_back_as_it_was(octets: bytes) -> None:
    wire = netascii.encode(octets)
    assert len(wire) == netascii.encoded_size(octets)
    assert decoded(wire) == octets


@given(st.one_of(st.binary(), near_text), st.lists(st.integers(0, 60), max_size=4))
def test_pieces_decode_and_encode_like_the_whole(octets: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(octets)]
    pieces = [octets[start:end] for start, end in itertools.pairwise(edges)]
    whole = b"".join(pieces)
    assert decoded(*pieces) == decoded(whole)
    assert b"".join(netascii.encode(piece) for piece in pieces) == netascii.encode(whole)
