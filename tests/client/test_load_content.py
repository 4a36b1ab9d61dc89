"""The octets that transfers are compared with, or made of."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.client.load_content import IMAGES_MAX, Content, Uploads, headers
from snowowl.wire.codec import encode_data_header


def on_the_wire(octets: bytes, blksize: int) -> bytes:
    return b"".join(
        encode_data_header((block + 1) & 0xFFFF) + octets[block * blksize : (block + 1) * blksize]
        for block in range(len(octets) // blksize + 1)
    )


@given(octets=st.binary(max_size=70), blksize=st.integers(8, 40))
def test_the_image_is_what_goes_over_the_wire(octets: bytes, blksize: int) -> None:
    assert Content(octets).image(blksize) == on_the_wire(octets, blksize)


def test_numbers_in_the_image_roll_over() -> None:
    octets = bytes(8 * 65537)
    image = Content(octets).image(8)
    assert image is not None
    numbers = [image[at : at + 4] for at in range(0, len(image), 12)]
    assert numbers[65534:65538] == [b"\0\3\xff\xff", b"\0\3\0\0", b"\0\3\0\1", b"\0\3\0\2"]
    assert len(image) % 12 == 4  # the last block is empty


def test_a_server_cannot_make_any_number_of_images() -> None:
    content = Content(b"octets")
    images = [content.image(8 + index) for index in range(IMAGES_MAX + 1)]
    assert images[-1] is None
    assert None not in images[:-1]
    assert content.image(8) is images[0]


@given(octets=st.binary(min_size=1, max_size=50), data=st.data())
def test_the_first_difference(octets: bytes, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(octets)))
    payload = data.draw(st.binary(max_size=60) | st.just(octets[offset:]))
    expected = octets[offset : offset + len(payload)]
    wrong = next(
        (at for at, octet in enumerate(payload) if expected[at : at + 1] != bytes([octet])), None
    )
    assert Content(octets).difference(payload, offset) == wrong
    shifted = Content(b"before" + octets + b"after", 6, len(octets))
    assert shifted.difference(memoryview(payload), offset) == wrong


def test_the_digest_is_of_what_is_expected_only() -> None:
    assert Content(b"abcde", 1, 3).digest == hashlib.sha256(b"bcd").hexdigest()
    assert Content(b"abc").size == 3


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 5])
def test_uploads_have_the_same_octets_in_every_run(size: int) -> None:
    uploads, again = Uploads(size), Uploads(size)
    assert uploads.octets == again.octets
    assert [uploads.content(number).size for number in (0, 1, 65_521)] == [size] * 3
    assert uploads.content(1).digest == uploads.content(65_522).digest


def test_no_two_uploads_are_alike() -> None:
    uploads = Uploads(100)
    assert len({uploads.content(number).digest for number in range(500)}) == 500
    assert Uploads(100, seed=1).octets != uploads.octets


def test_headers_are_made_once() -> None:
    assert headers(0) is headers(0)
    assert bytes(headers(1).view[65536 * 4 : 65537 * 4]) == b"\0\3\0\1"
