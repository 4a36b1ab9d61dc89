"""What the strategies promise: valid packets are valid, near misses of every kind are produced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from snowowl.testing.strategies import (
    KINDS,
    Conversation,
    Kind,
    Step,
    acks,
    blksizes,
    block_numbers,
    conversations,
    damaged,
    datagrams,
    datas,
    names,
    near_misses,
    odd_numbers,
    option_acks,
    option_maps,
    payloads,
    raw_request,
    sizes,
    texts,
    traversals,
    valid_datagrams,
    valid_packets,
    well_formed_requests,
    windowsizes,
)
from snowowl.testing.strategies.octets import Octets, brief
from snowowl.wire import options as known
from snowowl.wire.codec import block_number_of, decode, encode, opcode_of
from snowowl.wire.packets import Error, Mode, OptionAck, Options, ReadRequest, WriteRequest

VOCABULARY = {
    "Error": Error,
    "Mode": Mode,
    "OptionAck": OptionAck,
    "ReadRequest": ReadRequest,
    "WriteRequest": WriteRequest,
    "Step": Step,
}

Drawn = TypeVar("Drawn")
Predicate = Callable[[bytes], bool]

quickly = settings(phases=[Phase.generate], max_examples=2000, database=None)
"""To find is enough; to shrink takes the time of a hundred finds."""


def produced(strategy: st.SearchStrategy[Drawn], *wanted: Callable[[Drawn], bool]) -> None:
    """Fail if a strategy does not soon produce something of each kind that is wanted.

    All are looked for in the same examples: to draw them is what takes the time.
    """
    missing = dict(enumerate(wanted))

    def last_is_found(drawn: Drawn) -> bool:
        for number in [number for number, wants in missing.items() if wants(drawn)]:
            del missing[number]
        return not missing

    try:
        find(strategy, last_is_found, settings=quickly)
    except NoSuchExample:
        pytest.fail(f"not produced: {sorted(missing)}")


@given(valid_packets())
def test_valid_packets_survive_the_wire(
    packet: ReadRequest | WriteRequest | OptionAck | Error,
) -> None:
    assert decode(encode(packet)) == packet


@given(st.one_of(valid_packets(), valid_datagrams(), datagrams(), conversations(), traversals()))
def test_a_repr_is_python_that_makes_it_again(value: object) -> None:
    assert eval(repr(value), dict(VOCABULARY)) == value
    assert len(repr(value)) < 30_000  # more, and Hypothesis warns


@given(option_maps(valid=True))
def test_valid_options_are_within_their_rfc(options: Options) -> None:
    ranges = {
        b"blksize": range(8, 65465),
        b"timeout": range(1, 256),
        b"tsize": range(2**40 + 1),
        b"windowsize": range(1, 65536),
        b"rollover": range(2),
    }
    for name, value in options:
        number = known.parse_value(name, value)
        assert number is not None
        assert number in ranges[name]


@given(st.data(), option_maps(valid=True))
def test_an_option_ack_answers_what_was_asked(data: st.DataObject, asked: Options) -> None:
    granted = data.draw(option_acks(asked=asked)).options
    order = [name for name, _ in asked]
    assert granted or set(order) <= {b"rollover"}, "an OACK of nothing is none"
    assert [name for name, _ in granted] == sorted(dict(granted), key=order.index)
    for name, value in granted:
        assert name == b"tsize" or int(value) <= int(dict(asked)[name])


@given(st.integers(0, 65535), st.data())
def test_what_is_near_is_near(near: int, data: st.DataObject) -> None:
    for packet in (data.draw(acks(near=near, reach=3)), data.draw(datas(near=near, reach=3))):
        distance = (block_number_of(packet) - near) % 65536
        assert distance <= 3 or distance >= 65533


@given(st.data(), blksizes())
def test_payloads_fit_their_block(data: st.DataObject, blksize: int) -> None:
    assert len(data.draw(payloads(blksize=blksize))) <= blksize


def test_sizes_are_those_beside_whole_blocks() -> None:
    edges = (0, 1, 511, 512, 513, 1023, 1024, 1025)
    produced(sizes(), *[lambda size, edge=edge: size == edge for edge in edges])


def test_the_edges_of_numbers_come_soon() -> None:
    for strategy, edges in (
        (blksizes(), (8, 512, 1428, 1468, 1469, 65464)),
        (windowsizes(), (1, 2, 64, 65535)),
        (block_numbers(), (0, 1, 32767, 32768, 65535)),
    ):
        produced(strategy, *[lambda number, edge=edge: number == edge for edge in edges])


def test_numbers_are_spelled_oddly_and_may_be_too_large_for_python() -> None:
    produced(
        odd_numbers(),
        lambda text: text.isdigit() and len(text) > 4300,
        lambda text: text == b"",
        lambda text: text.isalpha(),
        *[lambda text, sign=sign: sign in text for sign in (b"e0", b".0", b"\n", b"_", b"\xff")],
        *[lambda text, sign=sign: text.startswith(sign) for sign in (b"-", b"+", b" ", b"0x")],
    )


# Near misses.

REQUEST = encode(ReadRequest(b"kernel", Mode.OCTET, ((b"blksize", b"1468"),)))

DAMAGED: dict[Kind, Predicate] = {
    "cut": lambda it: REQUEST.startswith(it) and 4 < len(it) < len(REQUEST),
    "splice": lambda it: it[:6] == REQUEST[:6] and it[6:] != REQUEST[6:] and len(it) > 6,
    "flip": lambda it: (
        len(it) == len(REQUEST)
        and sum((a ^ b).bit_count() for a, b in zip(it, REQUEST, strict=True)) == 1
    ),
    "short": lambda it: len(it) == 3,
    "long": lambda it: len(it) == 65535,
    "opcode": lambda it: opcode_of(it) > 6 and it[2:] == REQUEST[2:],
    "pad": lambda it: it.startswith(REQUEST) and it.endswith(b"\0" * 40),
    "unterminated": lambda it: it == REQUEST[:-1],
    "doubled": lambda it: it.lower().count(b"\0blksize\0") == 2,
    "case": lambda it: b"\0OCTET\0" in it,
    "trailing": lambda it: b"kernel\xff" in it,
    "number": lambda it: b"blksize\0-1\0" in it or b"blksize\x000x" in it,
}


def test_every_kind_of_near_miss_is_looked_for() -> None:
    assert set(DAMAGED) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_near_miss_is_produced(kind: Kind) -> None:
    produced(damaged(REQUEST, kinds=[kind], damages_max=1), DAMAGED[kind])


def test_near_misses_are_of_every_size() -> None:
    lengths = (0, 1, 2, 3, 4, 1473, 65507, 65535)
    strategy = near_misses(kinds=["short", "long"])
    produced(strategy, *[lambda it, length=length: len(it) == length for length in lengths])


def test_datagrams_are_packets_near_misses_and_noise() -> None:
    kinds = [lambda it, code=code: opcode_of(it) == code and len(it) > 4 for code in range(1, 7)]
    produced(datagrams(), *kinds, lambda it: it == b"", lambda it: opcode_of(it) > 6)


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        (("doubled", "case"), lambda it: b"\0BLKSIZE\0" in it and b"\0blksize\0" in it),
        (("doubled",), lambda it: it[:2] == b"\0\6"),
    ],
)
def test_kinds_may_be_chosen(kinds: tuple[Kind, ...], wanted: Predicate) -> None:
    produced(near_misses(kinds=kinds), wanted)


@given(near_misses(kinds=["unterminated", "doubled", "case", "trailing", "number"]))
def test_damage_to_strings_is_done_to_packets_of_strings(datagram: bytes) -> None:
    assert opcode_of(datagram) in (1, 2, 6)


def test_what_cannot_be_done_to_a_packet_leaves_it_as_it_is() -> None:
    ack = b"\0\4\0\1"
    find(damaged(ack, kinds=["case", "number"]), lambda it: it == ack, settings=quickly)
    produced(damaged(ack, kinds=["case", "opcode"], damages_max=1), lambda it: it[2:] == ack[2:])


# Names.


def test_names_leave_the_root_in_every_manner() -> None:
    manners = (
        *(b"../etc/passwd", b"/etc/passwd", b"a/../../etc/passwd", b"..\\", b"%2e%2e/"),
        *(b"..%2f", b"\xc0\xae\xc0\xae", b"..\xff", b"C:\\", b"/proc/self/root/"),
    )
    produced(
        traversals(),
        lambda name: len(name) > 1024,
        lambda name: b"../" in name and b"..\\" in name,
        *[lambda name, manner=manner: manner in name for manner in manners],
    )


def test_names_may_hold_a_nul_for_a_request_that_is_made_by_hand() -> None:
    produced(traversals(nul=True), lambda name: b"passwd\0.img" in name)
    assert raw_request(1, b"passwd\0.img").count(b"\0") == 4


def test_the_way_to_a_file_that_is_wanted_goes_up_far_enough() -> None:
    """It begins in a folder that is there: one of the servers in use looks at that much only."""
    strategy = traversals(targets=(b"secret",), inside=(b"sub",))
    produced(strategy, lambda name: name.startswith(b"sub/../../") and name.endswith(b"/secret"))


@given(st.one_of(traversals(), names(present=[b"kernel"]), texts()))
def test_names_can_be_in_a_packet(name: bytes) -> None:
    assert decode(encode(ReadRequest(name))) == ReadRequest(name)


def test_names_of_files_that_are_there_come_often() -> None:
    present = (b"kernel", b"/kernel", b"kernel\xff", b"KERNEL", b"uImage")
    produced(
        names(present=present[:1]),
        *[lambda name, wanted=wanted: name == wanted for wanted in present],
    )


@given(well_formed_requests(filenames=st.just(b"x")))
def test_names_are_those_that_were_given(request: ReadRequest | WriteRequest) -> None:
    assert request.filename == b"x"
    assert request.mode is not Mode.MAIL


# Conversations.


@given(conversations(steps_max=5))
def test_a_conversation_begins_at_the_listening_port(steps: Conversation) -> None:
    assert 1 <= len(steps) <= 5
    assert (steps[0].target, steps[0].sender) == ("listening", 0)
    assert {step.sender for step in steps} <= {0, 1}


def test_conversations_go_on_as_transfers_do_and_otherwise() -> None:
    produced(
        conversations(steps_max=4),
        lambda steps: [step.octets[:4] for step in steps[1:3]] == [b"\0\4\0\1", b"\0\4\0\2"],
        lambda steps: [step.octets[:4] for step in steps[1:3]] == [b"\0\3\0\1", b"\0\3\0\2"],
        lambda steps: len(steps) > 2 and steps[1].octets == steps[2].octets,
        lambda steps: any(step.sender == 1 for step in steps),
        lambda steps: any(step.octets[:2] == b"\0\5" for step in steps),
        lambda steps: any(step.target == "listening" for step in steps[1:]),
        lambda steps: any(not step.waits for step in steps[1:]),
    )


# Octets.


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 40)), max_size=5))
def test_brief_octets_show_all_of_themselves(parts: list[tuple[bytes, int]]) -> None:
    octets = b"".join(part * count for part, count in parts)
    assert eval(repr(Octets(octets))) == octets


def test_many_octets_are_brief_and_few_are_plain() -> None:
    assert repr(brief(b"\0\3" + b"ab" * 32000)) == r"b'\x00\x03' + b'ab' * 32000"
    assert type(brief(b"a" * 200)) is bytes
