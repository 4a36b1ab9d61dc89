"""What real clients send is understood, and loses nothing on the way through the codec."""

from __future__ import annotations

import pytest

from snowowl.wire.codec import decode, encode
from tests.netboot.captured_requests import ERRORS, REQUESTS


@pytest.mark.parametrize("octets", (REQUESTS | ERRORS).values(), ids=(REQUESTS | ERRORS).keys())
def test_captured_packet_is_read_and_written_alike(octets: bytes) -> None:
    assert encode(decode(octets)) == octets
