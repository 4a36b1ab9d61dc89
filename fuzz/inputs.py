"""Strategies for seeds: what the corpus holds, what is near to it, and what the grammar gives.

Numbers, names and packets come from `snowowl.testing.strategies`; here is what calls are made of.
"""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz import corpus
from fuzz.arrays import LOCALS, PEERS
from fuzz.machines import SIDES
from fuzz.names import PIECES
from fuzz.seeds import Arg, Call, Seed
from snowowl.testing.strategies import (
    datagrams,
    errors,
    option_acks,
    option_maps,
    read_requests,
    texts,
    write_requests,
)
from snowowl.wire.codec import encode
from snowowl.wire.packets import OptionAck

Calls = st.SearchStrategy[Call]
Seeds = st.SearchStrategy[Seed]

small = st.integers(-3, 4)
"""A distance from where a transfer stands."""
aheads = st.one_of(st.just(0), small, st.integers(-70_000, 70_000))
missing = st.one_of(st.just(0), st.integers(-2, 520), st.just(70_000))
seconds = st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.0, 5.0, 31.0, 256.0])
windows = st.sampled_from([1, 1, 2, 4, 16, 64])


def calls(name: str, *values: st.SearchStrategy[Arg]) -> Calls:
    """Return calls of a name."""
    return st.tuples(*values).map(lambda args: Call(name, args))


def single(step: Calls) -> Seeds:
    """Return seeds of one call."""
    return step.map(lambda one: (one,))


def near(target: str, others: Seeds) -> Seeds:
    """Return seeds of the corpus, and others."""
    kept = corpus.seeds(target)
    return st.one_of(st.sampled_from(kept), others) if kept else others


@st.composite
def stories(draw: st.DrawFn, target: str, first: Calls, steps: Calls, longest: int) -> Seed:
    """Draw a seed of many calls: one of the corpus up to some call, or a new one, gone on with."""
    kept = corpus.seeds(target)
    is_kept = bool(kept) and draw(st.booleans())
    begun: Seed = draw(st.sampled_from(kept)) if is_kept else (draw(first),)
    begun = begun[: draw(st.integers(1, len(begun)))]
    return begun + tuple(draw(st.lists(steps, max_size=longest)))


# Datagrams.


@st.composite
def damaged(draw: st.DrawFn, kept: st.SearchStrategy[bytes]) -> bytes:
    """Draw a datagram of the corpus of which something was changed, cut off or doubled."""
    octets = draw(kept)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        end = draw(st.integers(at, min(len(octets), at + 12)))
        how = draw(st.sampled_from(["cut", "replace", "double", "splice", "number"]))
        if how == "cut":
            octets = octets[:at] + octets[end:]
        elif how == "replace":
            octets = octets[:at] + draw(st.binary(max_size=4)) + octets[end:]
        elif how == "double":
            octets = octets[:end] + octets[at:]
        elif how == "splice":
            octets = octets[:at] + draw(kept)[at:]
        else:
            octets = octets[:2] + draw(st.integers(0, 65535)).to_bytes(2, "big") + octets[4:]
    return octets


def any_datagrams() -> st.SearchStrategy[bytes]:
    """Return datagrams: captured ones, such with damage, by the grammar, and noise."""
    kept = st.sampled_from(corpus.datagrams())
    return st.one_of(kept, damaged(kept), datagrams())


def requests(opcode: int) -> st.SearchStrategy[bytes]:
    """Return RRQs (1) or WRQs (2), captured or by the grammar; some have a large window."""
    grammar = (read_requests() if opcode == 1 else write_requests()).map(encode)
    head = bytes([0, opcode])
    asking = st.builds(
        lambda blksize, window: (
            head + b"f\0octet\0blksize\0%d\0windowsize\0%d\0" % (blksize, window)
        ),
        st.sampled_from([8, 9, 512, 1468]),
        st.sampled_from([1, 2, 5, 64, 65535]),
    )
    return st.one_of(st.sampled_from(corpus.requests(opcode)), asking, grammar)


# Seeds of the targets of one call.


def decodes() -> Seeds:
    """Return datagrams to decode."""
    return near("decode", single(calls("decode", any_datagrams())))


def negotiations() -> Seeds:
    """Return options to negotiate, and grants to check."""
    maps = option_maps()
    sizes = st.one_of(st.none(), st.integers(0, 2**64))
    answers = st.one_of(option_acks(), maps.map(OptionAck)).map(encode)
    asked = calls("options", st.integers(0, 1), maps, sizes, st.integers(0, 1 << 20))
    granted = calls("grant", maps, st.one_of(answers, damaged(answers)))
    # What is granted is near to what was asked for.
    likely = option_maps(named=True).flatmap(
        lambda options: calls("grant", st.just(options), _grants(options))
    )
    return near("options", single(st.one_of(asked, granted, likely)))


def _grants(options: tuple[tuple[bytes, bytes], ...]) -> st.SearchStrategy[bytes]:
    if not options:
        return st.just(b"\0\6")
    return st.lists(st.sampled_from(options), max_size=4, unique_by=lambda pair: pair[0]).map(
        lambda pairs: encode(OptionAck(tuple(pairs)))
    )


def netasciis() -> Seeds:
    """Return octets with many line ends, and where to cut them."""
    pieces = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"\r\n", b"\r\0", b"a", b"\xff"]))
    octets = st.one_of(pieces.map(b"".join), st.binary(max_size=60))
    cuts = st.lists(st.integers(0, 80), max_size=5).map(tuple)
    return near("netascii", single(calls("netascii", octets, cuts)))


def names() -> Seeds:
    """Return names: of pieces of the tree, with every kind of slash and padding, and noise."""
    piece = st.one_of(
        st.sampled_from(PIECES),
        st.sampled_from([b".", b"..", b"", b"root", b"etc", b"passwd", b".snowowl-1", b"..\xff"]),
        st.binary(max_size=5),
    )
    slash = st.sampled_from([b"/", b"/", b"/", b"\\", b"//", b"/./", b"/../", b"\0/"])
    built = st.lists(st.tuples(piece, slash), max_size=7).map(
        lambda pairs: b"".join(octets for pair in pairs for octets in pair)
    )
    kept = st.sampled_from([octets for seed in corpus.seeds("names") for octets in _names(seed)])
    return near("names", single(calls("name", st.one_of(built, damaged(kept), texts(300)))))


def _names(seed: Seed) -> list[bytes]:
    return [arg for step in seed for arg in step.args if isinstance(arg, bytes)]


def configurations() -> Seeds:
    """Return texts: configurations of the corpus, such with lines changed, and noise."""
    kept = st.sampled_from(
        [arg for seed in corpus.seeds("config") for step in seed for arg in step.args]
    ).map(str)
    line = st.one_of(
        kept.flatmap(lambda text: st.sampled_from(text.split("\n"))),
        st.text("ab[]{}=.,#\"'\\ \t1-:\r", max_size=20),
        st.text(max_size=12),
    )
    lines = st.lists(line, max_size=12).map("\n".join)
    damage = st.builds(_spliced, kept, kept, st.integers(0, 2000), st.integers(0, 2000))
    text = st.one_of(lines, damage, st.text(max_size=60))
    octets = st.one_of(st.binary(max_size=60), lines.map(lambda lines: lines.encode("utf-16")))
    return near("config", single(st.one_of(calls("config", text), calls("file", octets))))


def _spliced(one: str, other: str, at: int, start: int) -> str:
    return one[: at % (len(one) + 1)] + other[start % (len(other) + 1) :]


_URL_PIECES = (
    *("tftp://", "TFTP://", "[", "]", ":", "/", "//", ";", ";mode=", "octet", "netascii", "mail"),
    *("%", "%00", "%ff", "%2f", "69", "0", "65536", "host", "::1", "fe80::1%25eth0", "a.b"),
    *("\xe9", "\udcff", "\ud800", "\u0663"),
)


def urls() -> Seeds:
    """Return URLs, nearly."""
    piece = st.sampled_from(_URL_PIECES)
    built = st.lists(st.one_of(piece, st.text(max_size=3)), max_size=8).map("".join)
    return near("url", single(calls("url", st.one_of(built, built.map("tftp://h/".__add__)))))


def logs() -> Seeds:
    """Return what a log may have to show."""
    odd = st.sampled_from(
        ["\n", "\r", "\x1b[2J", '"', "\\", "=", " ", "\u2028", "\x85", "\ud800", "é"]
    )
    text = st.lists(st.one_of(odd, st.text(max_size=4)), max_size=6).map("".join)
    name = st.one_of(texts(), st.binary(max_size=130))
    return near("log", single(calls("log", name, text, option_maps())))


# Seeds of the targets of many calls.


def batches() -> Seeds:
    """Return batches for the arrays of recvmmsg and sendmmsg."""
    peer = st.integers(0, len(PEERS) - 1)
    local = st.integers(0, len(LOCALS) - 1)
    octets = st.one_of(st.binary(max_size=9), st.integers(0, 65535).map(_some_octets))
    stride = st.one_of(st.just(0), st.integers(-1, 9), st.sampled_from([516, 1472, 65535]))
    flag = st.integers(0, 1)
    arriving = st.lists(st.tuples(peer, octets, stride, local), max_size=8).map(tuple)
    step = st.sampled_from([0, 1, 7, 511, 512, 1467, 8191])
    sending = st.tuples(peer, step, st.integers(0, 90), st.integers(0, 9000), local)
    limit = st.sampled_from([0, 12, 516, 1472, 32767])
    receive = calls("receive", flag, flag, arriving)
    send = calls("send", flag, flag, flag, limit, st.lists(sending, max_size=12).map(tuple))
    ancillary = calls("ancillary", st.binary(max_size=128), st.integers(0, 3000))
    return st.lists(st.one_of(receive, send, ancillary), max_size=6).map(tuple)


def _some_octets(size: int) -> bytes:
    return bytes([size % 251]) * size


def begins(opcode: int) -> Calls:
    """Return the beginnings of machines."""
    sizes = st.one_of(st.integers(0, 3000), st.sampled_from([512, 65535 * 8, 2**33]))
    rollovers = st.sampled_from([None, 0, 0, 1])
    return calls("begin", st.sampled_from(SIDES), requests(opcode), sizes, rollovers)


def segments() -> Seeds:
    """Return runs of datagrams that come joined, to machines in many states."""
    joined = calls("receive_joined", st.binary(max_size=80), st.integers(1, 20))
    packets = st.lists(any_datagrams(), min_size=1, max_size=6)
    padded = st.builds(_joined, packets, st.sampled_from([4, 11, 12, 516]))
    run = calls("run", small, st.integers(0, 40), st.integers(0, 1500), st.integers(0, 1 << 20))
    steps = st.one_of(
        run,
        run,
        calls("acks", small, st.integers(0, 40)),
        joined,
        padded,
        calls("data", small, missing),
        calls("expire"),
        calls("pause", small),
        calls("resume"),
        calls("commit"),
        calls("jump", st.sampled_from([65530, 65534, 65535, 131068])),
    )
    return stories("segments", st.one_of(begins(1), begins(2)), steps, 12)


def _joined(packets: list[bytes], stride: int) -> Call:
    octets = b"".join(packet.ljust(stride, b"\0")[:stride] for packet in packets)
    return Call("receive_joined", (octets, stride))


def server_stories() -> Seeds:
    """Return what several peers do to a server."""
    peer, where = st.integers(0, 3), st.sampled_from([0, 0, 1, 1, 2, 3])
    setting = calls("setting", st.integers(0, 2), st.integers(0, 1))
    wanted = st.builds(
        lambda name, blksize, window: (
            b"\0\1%b\0octet\0blksize\0%d\0windowsize\0%d\0" % (name, blksize, window)
        ),
        st.sampled_from([b"f", b"empty", b"even", b"kernel", b"out", b"../secret", b"up"]),
        st.sampled_from([8, 512, 1468]),
        windows,
    )
    octets = st.one_of(any_datagrams(), any_datagrams(), wanted, errors().map(encode))
    follow = calls("follow", peer, st.one_of(st.just(0), small), missing)
    steps = st.one_of(
        calls("send", peer, where, octets),
        calls("send", peer, st.just(0), requests(1)),
        calls("send", peer, st.just(0), requests(2)),
        follow,
        follow,
        follow,
        calls("wait", seconds),
        calls("leave", peer),
        calls("fetch", st.integers(0, 63)),
    )
    return stories("server", setting, steps, 25)


def client_stories() -> Seeds:
    """Return what a server does to a client."""
    place = st.sampled_from([1, 1, 1, 0, 2, 3])
    sizes = st.sampled_from([0, 8, 512, 1468])
    setting = calls("setting", st.integers(0, 1), st.integers(0, 1), sizes, windows)
    answers = st.one_of(any_datagrams(), option_acks().map(encode), errors().map(encode))
    follow = calls("follow", st.one_of(st.just(0), small), missing)
    steps = st.one_of(
        follow,
        follow,
        calls("answer", place, answers),
        calls("also", place, answers),
        calls("silence"),
        calls("shut"),
    )
    return stories("client", setting, steps, 15)
