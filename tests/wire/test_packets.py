from __future__ import annotations

import attrs
import pytest

from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Error, Mode, OptionAck, ReadRequest, WriteRequest, error_name


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_words(code: ErrorCode) -> None:
    assert error_name(code)
    assert not error_name(code).startswith("error ")


@pytest.mark.rfc("1350 appendix")
def test_the_words_are_those_of_the_rfcs() -> None:
    assert [error_name(code) for code in ErrorCode] == [
        "undefined error",
        "file not found",
        "access violation",
        "disk full or allocation exceeded",
        "illegal TFTP operation",
        "unknown transfer ID",
        "file already exists",
        "no such user",
        "option negotiation failed",
    ]


def test_a_request_is_for_octets_without_options_if_nothing_else_is_said() -> None:
    assert ReadRequest(b"f") == ReadRequest(b"f", Mode.OCTET, ())
    assert WriteRequest(b"f") == WriteRequest(b"f", Mode.OCTET, ())


def test_a_code_of_no_rfc_is_named_by_its_number() -> None:
    assert error_name(4711) == "error 4711"


def test_packets_are_values() -> None:
    request = ReadRequest(b"f", Mode.OCTET, ((b"blksize", b"8"),))
    assert request == ReadRequest(b"f", options=((b"blksize", b"8"),))
    assert len({request, WriteRequest(b"f", options=((b"blksize", b"8"),))}) == 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.filename = b"g"  # type: ignore[misc]


def test_a_repr_is_python_that_can_be_pasted_into_a_test() -> None:
    for packet in (
        Error(1, b"no"),
        OptionAck(((b"blksize", b"8"),)),
    ):
        assert eval(repr(packet)) == packet


def test_what_a_packet_shows_is_python() -> None:
    """So that a failing example can be pasted as a test."""
    request = ReadRequest(b"f\xff", Mode.NETASCII, ((b"blksize", b"8"),))
    assert eval(repr(request), {"ReadRequest": ReadRequest, "Mode": Mode}) == request
