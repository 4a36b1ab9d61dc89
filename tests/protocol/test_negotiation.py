from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.negotiation import (
    WINDOWSIZE_GRANTED_MAX,
    Policy,
    Terms,
    check_grant,
    negotiate,
)
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.testing.strategies import option_maps, read_requests, write_requests
from snowowl.wire.codec import encode
from snowowl.wire.options import RANGES, parse_value
from snowowl.wire.packets import Mode, OptionAck, Options, ReadRequest, WriteRequest

SIZE = 5000


def opts(**values: int) -> Options:
    return tuple((name.encode(), b"%d" % value) for name, value in values.items())


def granted(
    asked: Options, policy: Policy | None = None, size: int | None = SIZE
) -> Options | None:
    """Return what an RRQ is granted, None if there is no OACK."""
    _, option_ack = negotiate(ReadRequest(b"f", options=asked), policy or Policy(), size)
    return option_ack.options if option_ack else None


@pytest.mark.rfc("2347")
def test_without_options_there_is_no_oack() -> None:
    assert negotiate(ReadRequest(b"f"), Policy(), SIZE) == (Terms(), None)
    assert Terms() == Terms(blksize=512, windowsize=1, timeout=None, tsize=None, rollover=0)


@pytest.mark.rule("R1")
def test_what_is_asked_is_granted_in_the_order_asked() -> None:
    asked = opts(windowsize=4, timeout=5, blksize=1468, tsize=0, rollover=0)
    assert granted(asked) == opts(windowsize=4, timeout=5, blksize=1468, tsize=SIZE, rollover=0)
    terms, _ = negotiate(ReadRequest(b"f", options=asked), Policy(), SIZE)
    assert terms == Terms(
        blksize=1468,
        windowsize=4,
        timeout=5,
        tsize=SIZE,
        rollover=0,
        granted=opts(windowsize=4, timeout=5, blksize=1468, tsize=SIZE, rollover=0),
    )


@pytest.mark.rule("R1")
@pytest.mark.rfc("2348")
@pytest.mark.rfc("7440 3")
def test_a_policy_makes_values_smaller_and_never_larger() -> None:
    policy = Policy(blksize_max=1468, windowsize_max=16)
    assert granted(opts(blksize=65464, windowsize=64), policy) == opts(blksize=1468, windowsize=16)
    assert granted(opts(blksize=512, windowsize=2), policy) == opts(blksize=512, windowsize=2)


def test_u_boot_gets_no_window_that_deafens_its_driver() -> None:
    asked = opts(timeout=5, blksize=1468, windowsize=64)
    assert granted(asked) == opts(timeout=5, blksize=1468, windowsize=30)
    assert granted(opts(timeout=5, windowsize=8)) == opts(timeout=5, windowsize=8)
    for others in (opts(blksize=1468, timeout=5, windowsize=64), opts(timeout=6, windowsize=64)):
        assert granted(others) == others
    # What U-Boot sends is bounded by its own window, not by its receive buffers.
    request = WriteRequest(b"f", options=asked)
    assert negotiate(request, Policy(), None)[0].windowsize == 64


@pytest.mark.rfc("7440 3")
def test_a_window_is_no_more_than_half_of_the_numbers() -> None:
    policy = Policy(windowsize_max=65535)
    assert granted(opts(windowsize=65535), policy) == opts(windowsize=WINDOWSIZE_GRANTED_MAX)


@pytest.mark.rule("R1")
@pytest.mark.rfc("2349")
@pytest.mark.parametrize("timeout", [1, 5, 6, 255])
def test_a_timeout_is_granted_as_it_is_or_not_at_all(timeout: int) -> None:
    assert granted(opts(timeout=timeout)) == opts(timeout=timeout)
    refusing = Policy(refused_options=frozenset({b"timeout"}))
    assert granted(opts(timeout=timeout), refusing) is None


@pytest.mark.rule("R2")
@pytest.mark.parametrize(
    "asked",
    [
        ((b"blksize", b"abc"),),
        ((b"blksize", b"0"),),
        ((b"blksize", b""),),
        ((b"timeout", b"3000"),),  # npm's tftp asks in milliseconds
        ((b"windowsize", b"0"),),
        ((b"utimeout", b"500000"),),
        ((b"multicast", b""),),
        ((b"\xff", b"\xff"),),
        ((b"rollover", b"2"),),
    ],
)
def test_an_option_that_makes_no_sense_is_left_out(asked: Options) -> None:
    assert granted(asked) is None  # DATA 1 at once, not an empty OACK
    assert granted(asked + opts(tsize=0)) == opts(tsize=SIZE)


@pytest.mark.rule("R3")
@pytest.mark.rfc("2349")
def test_a_size_that_is_0_or_unknown_is_left_out() -> None:
    assert granted(opts(tsize=0), size=0) is None
    assert granted(opts(tsize=0), size=None) is None
    assert granted(opts(tsize=0, blksize=512), size=0) == opts(blksize=512)
    assert granted(opts(tsize=0), size=1) == opts(tsize=1)


@pytest.mark.rule("R3")
def test_in_netascii_no_size_is_announced() -> None:
    request = ReadRequest(b"f", Mode.NETASCII, opts(tsize=0))
    assert negotiate(request, Policy(), SIZE) == (Terms(), None)


@pytest.mark.rfc("2349")
def test_the_size_of_an_upload_is_echoed() -> None:
    terms, option_ack = negotiate(WriteRequest(b"f", options=opts(tsize=77)), Policy(), None)
    assert terms.tsize == 77
    assert option_ack == OptionAck(opts(tsize=77))
    assert negotiate(WriteRequest(b"f", options=opts(tsize=0)), Policy(), None)[1] is None


@pytest.mark.rule("R11")
@pytest.mark.parametrize(
    ("policy", "asked", "rollover"),
    [
        (Policy(), (), 0),
        (Policy(rollover=1), (), 1),
        (Policy(rollover=None), (), 0),
        (Policy(), opts(rollover=1), 1),
        (Policy(rollover=1), opts(rollover=0), 0),
        (Policy(rollover=None), opts(rollover=1), 1),
    ],
)
def test_the_rollover_is_what_was_asked_or_else_the_policys(
    policy: Policy, asked: Options, rollover: int
) -> None:
    terms, option_ack = negotiate(ReadRequest(b"f", options=asked), policy, SIZE)
    assert terms.rollover == rollover
    assert (option_ack.options if option_ack else ()) == asked


@given(
    st.one_of(read_requests(), write_requests()),
    st.integers(8, 65464),
    st.integers(1, 65535),
    st.frozensets(st.sampled_from(sorted(RANGES))),
    st.one_of(st.none(), st.integers(0, 2**40)),
)
def test_no_grant_holds_more_than_was_asked(
    request: ReadRequest | WriteRequest,
    blksize_max: int,
    windowsize_max: int,
    refused: frozenset[bytes],
    size: int | None,
) -> None:
    """Rule R1, for any request and any policy."""
    policy = Policy(blksize_max, windowsize_max, refused_options=refused)
    terms, option_ack = negotiate(request, policy, size)
    if option_ack is None:
        assert terms == Terms()
        return
    assert option_ack.options == terms.granted
    names = [name for name, _ in request.options]
    places = [names.index(name) for name, _ in option_ack.options]
    assert places == sorted(places)
    assert places
    for name, text in option_ack.options:
        value, asked = parse_value(name, text), parse_value(name, dict(request.options)[name])
        assert value is not None
        assert asked is not None
        assert name not in refused
        if name in (b"blksize", b"windowsize"):
            assert value <= asked
        elif name != b"tsize":
            assert value == asked
        else:
            assert value > 0
    encode(option_ack)


@pytest.mark.rfc("2347")
@pytest.mark.parametrize(
    ("asked", "grant", "terms"),
    [
        (opts(blksize=1468), (), Terms()),
        (opts(blksize=1468), opts(blksize=1468), Terms(blksize=1468, granted=opts(blksize=1468))),
        (opts(blksize=1468), opts(blksize=8), Terms(blksize=8, granted=opts(blksize=8))),
        (opts(tsize=0), opts(tsize=9), Terms(tsize=9, granted=opts(tsize=9))),
        (opts(timeout=3), opts(timeout=3), Terms(timeout=3, granted=opts(timeout=3))),
        (opts(windowsize=9), opts(windowsize=4), Terms(windowsize=4, granted=opts(windowsize=4))),
        (opts(rollover=0), opts(rollover=1), Terms(rollover=1, granted=opts(rollover=1))),
    ],
)
def test_a_grant_that_is_in_order(asked: Options, grant: Options, terms: Terms) -> None:
    assert check_grant(asked, OptionAck(grant)) == terms


@pytest.mark.rfc("2347")
@pytest.mark.parametrize(
    ("asked", "grant", "words"),
    [
        (opts(), opts(blksize=8), "blksize=8, which was not asked for"),
        (opts(tsize=0), ((b"\xff", b"1"),), "not asked for"),
        (opts(blksize=512), opts(blksize=513), "more than was asked for"),
        (opts(windowsize=4), opts(windowsize=5), "more than was asked for"),
        (opts(timeout=3), opts(timeout=2), "not what was asked for"),
        (opts(blksize=512), opts(blksize=7), "not a valid value"),
        (opts(blksize=512), ((b"blksize", b"x" * 99),), "not a valid value"),
        (
            opts(windowsize=65535, rollover=1),
            opts(windowsize=65535, rollover=1),
            "no block number free",
        ),
    ],
)
def test_a_grant_that_is_wrong_is_told_in_words(asked: Options, grant: Options, words: str) -> None:
    problem = check_grant(asked, OptionAck(grant))
    assert isinstance(problem, str)
    assert words in problem
    assert len(problem) < 150


@given(option_maps(), option_maps(named=True))
def test_checking_a_grant_never_raises(asked: Options, grant: Options) -> None:
    terms = check_grant(asked, OptionAck(grant))
    if isinstance(terms, Terms):
        assert set(grant) == set(terms.granted)
        assert {name for name, _ in grant} <= {name for name, _ in asked}


@given(read_requests(), st.one_of(st.just(0), st.integers(0, 2**40)))
def test_our_own_client_takes_what_our_own_server_grants(request: ReadRequest, size: int) -> None:
    terms, option_ack = negotiate(request, Policy(), size)
    if option_ack is not None:
        assert (b"tsize", b"0") not in option_ack.options  # rule R3: curl takes it for an error
        assert check_grant(request.options, option_ack) == terms


def test_what_is_granted_if_nothing_else_is_said() -> None:
    assert Policy() == Policy(65464, 64, 0, frozenset(), RetransmitPolicy())
