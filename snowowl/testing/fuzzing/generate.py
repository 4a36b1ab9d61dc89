"""Scripts for Hypothesis: conversations of a few peers, right in most and wrong in something.

Generic: the grammar of RFC 1350, 2347, 2348, 2349 and 7440, near misses of it, and what peers may do
with it.  A script is a list of moves, so that Hypothesis can leave each out while it shrinks; the first
alternative of a choice is the plainest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from hypothesis import strategies as st

from snowowl.testing.fuzzing.paths import names, ways_out
from snowowl.testing.fuzzing.script import (
    DATAGRAM_MAX,
    GOOD,
    LISTENING,
    OWN,
    PEERS,
    Again,
    Answer,
    Close,
    Follow,
    Script,
    Send,
    Step,
    Wait,
    made_harmless,
)
from snowowl.testing.strategies import datagrams, near_misses, option_values, valid_datagrams
from snowowl.wire.constants import Opcode

MOVES_MAX: Final = 5
"""A longer story finds what several of these find, and takes as long as they do."""

_OPTION_NAMES: Final = (
    b"blksize",
    b"timeout",
    b"tsize",
    b"windowsize",
    b"rollover",
    b"multicast",
    b"blksize2",
    b"utimeout",
    b"BLKSIZE",
    b"password",
    b"x",
)
_EDGES: Final[dict[bytes, tuple[int, ...]]] = {
    b"blksize": (512, 8, 7, 1, 0, 1428, 1468, 65464, 65465, 65535, 65536, 2**31, 2**32, 2**64),
    b"timeout": (1, 2, 255, 0, 256, 3000, 2**31, 2**32),
    b"tsize": (0, 1, 2**31, 2**32, 2**63, 2**64),
    b"windowsize": (1, 2, 4, 16, 64, 0, 65535, 65536, 2**31, 2**32),
    b"rollover": (0, 1, 2, 65536),
    b"multicast": (0, 1),
    b"blksize2": (512, 0, 1024, 65536),
    b"utimeout": (10000, 0, 2**32),
}
_NO_NUMBERS: Final = (b"abc", b"", b"-1", b"8x", b"0x200", b"1e3", b"512.0", b" 8", b"\xff", b"+8")
"""What some parser of numbers takes for one, and another does not survive."""

_RIGHT: Final = (
    *[(b"blksize", value) for value in (b"8", b"512", b"1024", b"1468", b"65464")],
    *[(b"windowsize", value) for value in (b"1", b"2", b"4", b"64")],
    *[(b"timeout", value) for value in (b"1", b"255")],
    (b"tsize", b"0"),
)
"""Options as good clients ask for them, and every server should answer."""

_MODES: Final = (
    b"octet",
    b"netascii",
    b"OCTET",
    b"mail",
    b"",
    b"octe",
    b"octetx",
    b"\xff",
    b"o" * 300,
)
_TINY: Final = (
    *(b"", b"\0", b"\xff", b"\0\1", b"\0\0", b"\0\3", b"\0\4", b"\0\5", b"\0\6", b"\0\7", b"\1\0"),
    *(b"\xff\xff", b"\0\1\0", b"\0\1a", b"\0\1\0\0", b"\0\1a\0", b"\0\5\0", b"\0\3\0\0"),
)
"""What a parser reads beyond the end of."""

_WAITS: Final = (*[0.02] * 12, *[0.1] * 4, 0.3, 1.2)
"""Seconds: most of a long wait is lost, but timers that run out are seen by nothing else."""


@attrs.frozen
class World:
    """What scripts may know: names that exist, and files that must not come."""

    read: bytes | None = None
    write: bytes | None = None
    secrets: tuple[bytes, ...] = ()


def scripts(world: World) -> st.SearchStrategy[Script]:
    """Return scripts against a server of which so much is known."""
    sending = [
        _shot(world),
        _read(world),
        _leak(world),
        _leak(world),
        _upload(world),
        _conversation(world),
        _stranger(world),
    ]
    return st.builds(
        lambda first, rest: Script(tuple(step for move in (first, *rest) for step in move)),
        st.one_of(*sending),
        st.lists(st.one_of(*sending, _interlude()), max_size=MOVES_MAX - 1),
    )


# Moves: each some steps.

_Move = st.SearchStrategy[tuple[Step, ...]]


def _peers() -> st.SearchStrategy[str]:
    return st.one_of(st.just(PEERS[0]), st.sampled_from(PEERS))


def _shot(world: World) -> _Move:
    """Return a few datagrams to wherever: requests that may be anything, or noise."""
    octets = st.one_of(_noise(), _requests(world), _damaged_requests(world))
    to = st.one_of(st.just(LISTENING), st.sampled_from([LISTENING, OWN, *PEERS, GOOD]))
    shot = st.builds(
        lambda peer, octets, to: Send(peer, made_harmless(octets, world.write), to),
        _peers(),
        octets,
        to,
    )
    return st.lists(shot, min_size=1, max_size=3).map(tuple)


def _read(world: World) -> _Move:
    """Return a read that goes on for a while, and may have something wrong in it."""
    plain = st.just(world.read) if world.read is not None else names(())
    return st.builds(
        lambda peer, octets, turns: (Send(peer, octets), *(turn(peer) for turn in turns)),
        _peers(),
        _request(Opcode.RRQ, plain, plain_options=True),
        st.lists(_turns(), max_size=4),
    )


def _leak(world: World) -> _Move:
    """Return reads of what lies outside by several names at once, a block or a few of each."""
    read = st.tuples(
        _request(Opcode.RRQ, ways_out(world.secrets, world.read), plain_options=True),
        st.sampled_from([0, 1, 3]),
    )
    return st.lists(read, min_size=1, max_size=len(PEERS)).map(_reads)


def _reads(reads: Sequence[tuple[bytes, int]]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for peer, (octets, count) in zip(PEERS, reads, strict=False):
        steps += [Send(peer, octets), *([Follow(peer, count)] if count else [])]
    return tuple(steps)


def _upload(world: World) -> _Move:
    """Return an upload that goes on for a while; without a name for it only the request."""
    if world.write is None:
        return st.builds(
            lambda peer, octets: (Send(peer, made_harmless(octets, None)),),
            _peers(),
            _request(Opcode.WRQ, names(()), plain_options=True),
        )
    return st.builds(
        lambda peer, octets, turns: (Send(peer, octets), *(turn(peer) for turn in turns)),
        _peers(),
        _request(Opcode.WRQ, st.just(world.write), plain_options=True),
        st.lists(_turns(), max_size=4),
    )


def _conversation(world: World) -> _Move:
    """Return datagrams of one peer in the middle of a transfer, where they do not belong."""
    octets = st.one_of(
        valid_datagrams(), near_misses(), _blocks(), _request(Opcode.RRQ, _known(world))
    )
    return st.builds(
        lambda peer, octets: tuple(
            Send(peer, made_harmless(each, world.write), OWN) for each in octets
        ),
        _peers(),
        st.lists(octets, min_size=1, max_size=3),
    )


def _stranger(world: World) -> _Move:
    """Return datagrams to somebody else's TID."""
    octets = st.one_of(_blocks(), _noise(), valid_datagrams(), _request(Opcode.RRQ, _known(world)))
    return st.builds(
        lambda peer, octets, to: (Send(peer, made_harmless(octets, world.write), to),),
        _peers(),
        octets,
        st.sampled_from([GOOD, *PEERS]),
    )


def _interlude() -> _Move:
    """Return what is not a packet: going away, asking again, time."""
    return st.one_of(
        _peers().map(lambda peer: (Again(peer),)),
        _peers().map(lambda peer: (Close(peer),)),
        _peers().map(lambda peer: (Again(peer), Again(peer), Close(peer))),
        st.sampled_from(_WAITS).map(lambda seconds: (Wait(seconds),)),
    )


# Turns: what a peer does once something came; they learn later which peer.


@attrs.frozen
class _Turn:
    verb: str
    number: int = 1

    def __call__(self, peer: str) -> Step:
        if self.verb == "follow":
            return Follow(peer, self.number)
        if self.verb == "again":
            return Again(peer)
        if self.verb == "close":
            return Close(peer)
        return Answer(peer, self.verb, self.number)


def _turns() -> st.SearchStrategy[_Turn]:
    ahead = st.sampled_from([1, -1, 2, 0x7FFF, -0x8000, 100])
    return st.one_of(
        st.sampled_from([1, 2, 3, 8]).map(lambda count: _Turn("follow", count)),
        st.integers(3, 5).map(lambda count: _Turn("twice", count)),
        ahead.map(lambda blocks: _Turn("ahead", blocks)),
        st.sampled_from([0, 1, 2, 3, 4, 6]).map(lambda octets: _Turn("cut", octets)),
        st.sampled_from([1, 2, 512, 1024, 4096]).map(lambda octets: _Turn("pad", octets)),
        st.integers(0, 63).map(lambda bit: _Turn("flip", bit)),
        st.sampled_from([0, 1, 3, 5, 6, 7, 255, 256, 0x0400, 65535]).map(
            lambda code: _Turn("opcode", code)
        ),
        st.sampled_from([0, 1, 2, 4, 5, 8, 65535]).map(lambda code: _Turn("error", code)),
        st.just(_Turn("stranger", 0)),
        st.just(_Turn("listen", 0)),
        st.just(_Turn("again")),
        st.just(_Turn("close")),
    )


# Packets.


def _known(world: World) -> st.SearchStrategy[bytes]:
    return names([name for name in (world.read,) if name is not None])


def _values(name: bytes) -> st.SearchStrategy[bytes]:
    edges = _EDGES.get(name.lower())
    plain = [st.sampled_from(edges).map(lambda number: b"%d" % number)] if edges else []
    long = st.sampled_from([b"9" * 20, b"9" * 400, b"1" * 65, b"0" * 300 + b"8", b"512\n", b"%n%s"])
    return st.one_of(*plain * 2, st.sampled_from(_NO_NUMBERS), option_values(), long)


def _options(*, plain: bool) -> st.SearchStrategy[list[bytes]]:
    """Return names and values in turn; mostly what is right for a request if `plain`."""
    names_of_options = _OPTION_NAMES[:4] if plain else _OPTION_NAMES
    odd = st.sampled_from(names_of_options).flatmap(
        lambda name: st.tuples(st.just(name), _values(name))
    )
    pair = st.one_of(st.sampled_from(_RIGHT), odd) if plain else odd
    some = st.lists(pair, min_size=1, max_size=3 if plain else 8)
    return st.one_of(st.just([]), some, some).map(
        lambda pairs: [word for pair in pairs for word in pair]
    )


def _request(
    opcode: Opcode, filenames: st.SearchStrategy[bytes], *, plain_options: bool = False
) -> st.SearchStrategy[bytes]:
    """Return requests that can be read, though their options may be odd."""
    modes = st.one_of(*[st.just(_MODES[0])] * 4, st.sampled_from(_MODES))
    return st.builds(
        lambda name, mode, options: _packet(opcode, [name, mode, *options]),
        filenames,
        modes if not plain_options else st.sampled_from(_MODES[:1] * 5 + _MODES[1:2]),
        _options(plain=plain_options),
    )


def _requests(world: World) -> st.SearchStrategy[bytes]:
    filenames = st.one_of(_known(world), ways_out(world.secrets, world.read))
    return st.one_of(_request(Opcode.RRQ, filenames), _request(Opcode.WRQ, _known(world)))


@st.composite
def _damaged_requests(draw: st.DrawFn, world: World) -> bytes:
    """Draw a request in which strings are missing, doubled, swapped, or not ended."""
    octets = draw(_requests(world))
    words = octets[2:].split(b"\0")[:-1]
    kind = draw(st.sampled_from(["cut", "drop", "double", "empty", "unended", "tail", "huge"]))
    where = draw(st.integers(0, max(0, len(words) - 1)))
    if kind == "cut":
        return octets[: draw(st.integers(0, len(octets)))]
    if kind == "drop":
        words = words[:where] + words[where + 1 :]
    elif kind == "double":
        words = words[: where + 1] + words[where:]
    elif kind == "empty":
        words = [*words[:where], b"", *words[where:]]
    elif kind == "huge":
        words = [*words, *[b"x", b"y"] * draw(st.sampled_from([50, 500, 15_000]))]
    packet = _packet(Opcode(octets[1]), words)
    if kind == "unended":
        return packet[:-1]
    return (
        packet + draw(st.sampled_from([b"\0", b"\xff", b"blksize", b"\0" * 400]))
        if kind == "tail"
        else packet
    )


def _packet(opcode: Opcode, words: Sequence[bytes]) -> bytes:
    octets = opcode.to_bytes(2, "big") + b"".join(word + b"\0" for word in words)
    return octets[:DATAGRAM_MAX]


def _blocks() -> st.SearchStrategy[bytes]:
    """Return ACK, DATA and ERROR with numbers that a transfer is at."""
    numbers = st.one_of(st.integers(0, 4), st.sampled_from([32767, 32768, 65535]))
    size = st.sampled_from([0, 1, 511, 512, 513, 1468, 65000])
    return st.one_of(
        numbers.map(lambda number: b"\0\4" + number.to_bytes(2, "big")),
        st.builds(
            lambda number, count: b"\0\3" + number.to_bytes(2, "big") + bytes(count), numbers, size
        ),
        numbers.map(lambda code: b"\0\5" + code.to_bytes(2, "big") + b"x\0"),
    )


def _noise() -> st.SearchStrategy[bytes]:
    """Return what is hardly a packet: next to nothing, noise, much of it, and what the grammar gives."""
    large = st.builds(
        lambda unit, count: (unit * count)[:DATAGRAM_MAX],
        st.sampled_from([b"\0", b"a", b"\xff", b"\0\1", b"\0\1a\0"]),
        st.sampled_from([512, 516, 517, 1500, 2048, 9000, 65507]),
    )
    return st.one_of(st.sampled_from(_TINY), datagrams(), st.binary(max_size=4), large)
