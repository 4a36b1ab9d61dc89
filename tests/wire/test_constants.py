from __future__ import annotations

import pytest

from snowowl.wire import constants
from snowowl.wire.constants import ErrorCode, Opcode


@pytest.mark.rfc("1350 5")
@pytest.mark.rfc("2347")
def test_the_opcodes_are_those_of_the_rfcs() -> None:
    assert [(code.name, code.value) for code in Opcode] == [
        ("RRQ", 1),
        ("WRQ", 2),
        ("DATA", 3),
        ("ACK", 4),
        ("ERROR", 5),
        ("OACK", 6),
    ]


@pytest.mark.rfc("1350 appendix")
def test_the_error_codes_are_those_of_the_rfcs() -> None:
    assert [code.value for code in ErrorCode] == list(range(9))
    assert ErrorCode(5) is ErrorCode.UNKNOWN_TID
    assert ErrorCode(8) is ErrorCode.OPTION_REFUSED


@pytest.mark.rfc("2348")
def test_the_largest_block_fits_the_largest_udp_datagram() -> None:
    assert constants.HEADER_SIZE + constants.BLKSIZE_MAX <= 65507


def test_the_text_of_an_error_fits_the_smallest_receive_buffer() -> None:
    smallest = constants.HEADER_SIZE + constants.BLKSIZE_DEFAULT
    assert smallest >= constants.HEADER_SIZE + constants.ERROR_MESSAGE_MAX + 1


@pytest.mark.rfc("1350 2")
def test_a_block_has_512_octets_if_nothing_else_is_agreed() -> None:
    assert constants.BLKSIZE_DEFAULT == 512
