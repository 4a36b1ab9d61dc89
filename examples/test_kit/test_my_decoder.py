"""Find bugs in the packet decoder of a boot loader with snowowl's Hypothesis strategies.

    pip install 'snowowl[fuzz]' pytest
    pytest test_my_decoder.py

`decode_oack` stands for yours, which may well be C behind ctypes: what is drawn is plain octets.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowowl.testing import strategies as tftp
from snowowl.wire.codec import encode
from snowowl.wire.packets import OptionAck, Options

ASKED: Options = ((b"blksize", b"1468"), (b"tsize", b"0"), (b"windowsize", b"8"))
LIMITS = {b"blksize": range(8, 1469), b"tsize": range(2**32), b"windowsize": range(1, 9)}


def decode_oack(datagram: bytes) -> dict[str, int]:
    """Return what a server has granted.  Raises ValueError for what is no answer to `ASKED`."""
    if datagram[:2] != b"\0\6" or not datagram.endswith(b"\0"):
        raise ValueError("not an OACK")
    strings = datagram[2:-1].split(b"\0") if len(datagram) > 3 else []
    granted: dict[str, int] = {}
    for name, value in zip(strings[::2], strings[1::2], strict=True):
        key = name.lower()
        # isdigit first: int() takes signs, blanks and underscores, and refuses 4301 digits.
        if key not in LIMITS or not value.isdigit() or len(value) > 10:
            raise ValueError("not what was asked for")
        if int(value) not in LIMITS[key]:
            raise ValueError("out of range")
        granted[key.decode()] = int(value)
    return granted


@settings(max_examples=50, deadline=None)
@given(tftp.option_acks(asked=ASKED))
def test_every_answer_that_a_server_may_give_is_understood(oack: OptionAck) -> None:
    """Some of the options, or none, with the same or smaller numbers (RFC 2347, 2348, 7440)."""
    expected = {name.decode(): int(value) for name, value in oack.options}
    assert decode_oack(encode(oack)) == expected


def check(datagram: bytes) -> None:
    """Assert that a datagram is refused, or understood as something that was asked for."""
    try:
        granted = decode_oack(datagram)
    except ValueError:
        return
    assert all(value in LIMITS[name.encode()] for name, value in granted.items())


@settings(max_examples=200, deadline=None)
@given(st.one_of(tftp.datagrams(), tftp.damaged(encode(OptionAck(ASKED)))))
def test_nothing_that_comes_in_does_more_than_to_be_refused(datagram: bytes) -> None:
    """Near misses find more than noise: an option doubled, a NUL missing, ``+8``, 65,535 octets."""
    check(datagram)


@pytest.mark.parametrize("kind", tftp.KINDS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_each_kind_of_damage_alone(data: st.DataObject, kind: tftp.Kind) -> None:
    """To see which kind a decoder trips over."""
    check(data.draw(tftp.damaged(encode(OptionAck(ASKED)), kinds=[kind], damages_max=1)))
