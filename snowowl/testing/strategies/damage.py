"""Near misses: packets with one to a few things wrong.  They find more than noise does.

Every kind of damage is a function of a datagram, chosen by Hypothesis; `KINDS` names them, so that a
fuzzer may switch some off (`near_misses(kinds=...)`) or try one alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, Literal

from hypothesis import strategies as st

from snowowl.testing.strategies.octets import brief
from snowowl.testing.strategies.packets import (
    OPTION_NAMES,
    option_acks,
    read_requests,
    valid_datagrams,
    well_formed_requests,
    write_requests,
)
from snowowl.testing.strategies.values import odd_numbers, option_values
from snowowl.wire.codec import encode, opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import Options

Kind = Literal[
    "cut",
    "splice",
    "flip",
    "short",
    "long",
    "opcode",
    "pad",
    "unterminated",
    "doubled",
    "case",
    "trailing",
    "number",
]

LENGTHS: Final = (516, 1472, 1473, 9000, 65507, 65535)
"""Octets of over-long datagrams: a block of RFC 1350, an Ethernet frame and one more, a jumbo frame,
the most that UDP over IPv4 carries, the most that a length of 16 bits says."""

_ODD_OPCODES: Final = (0, 7, 8, 9, 255, 256, 257, 0x0300, 0x8001, 65535)
"""None, the first ones after OACK, one octet's last, and known ones with the octets swapped."""

Damage = Callable[[st.DrawFn, bytes], bytes]


def raw_request(
    opcode: int, filename: bytes, mode: bytes = b"octet", options: Options = ()
) -> bytes:
    r"""Return the octets of a request without asking whether it can be one.

    >>> raw_request(1, b"../etc/passwd\0.img")
    b'\x00\x01../etc/passwd\x00.img\x00octet\x00'
    """
    strings = [filename, mode, *(string for option in options for string in option)]
    return opcode.to_bytes(2, "big") + b"".join(string + b"\0" for string in strings)


def _cut(draw: st.DrawFn, datagram: bytes) -> bytes:
    return datagram[: draw(st.integers(0, max(0, len(datagram) - 1)))]


def _splice(draw: st.DrawFn, datagram: bytes) -> bytes:
    where = draw(st.integers(0, len(datagram)))
    return datagram[:where] + draw(valid_datagrams())[where:]


def _flip(draw: st.DrawFn, datagram: bytes) -> bytes:
    if not datagram:
        return datagram
    octets = bytearray(datagram)
    octets[draw(st.integers(0, len(octets) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(octets)


def _short(draw: st.DrawFn, datagram: bytes) -> bytes:
    return datagram[: draw(st.integers(0, 4))]


def _long(draw: st.DrawFn, datagram: bytes) -> bytes:
    length, filling = draw(st.sampled_from(LENGTHS)), draw(st.sampled_from((b"\0", b"A", b"a\0")))
    where = draw(st.sampled_from((2, len(datagram))))  # in the first string, or at the end
    missing = max(0, length - len(datagram))
    return (datagram[:where] + (filling * missing)[:missing] + datagram[where:])[:length]


def _opcode(draw: st.DrawFn, datagram: bytes) -> bytes:
    odd = draw(st.one_of(st.sampled_from(_ODD_OPCODES), st.integers(1, 6), st.integers(0, 65535)))
    return odd.to_bytes(2, "big") + datagram[2:]


def _pad(draw: st.DrawFn, datagram: bytes) -> bytes:
    return datagram + draw(st.sampled_from((b"\0", b"\0\0", b"\0" * 40, b"\xff", b"tail", b"\r\n")))


def _unterminated(draw: st.DrawFn, datagram: bytes) -> bytes:
    """Take away one NUL, the last more often."""
    places = [at for at, octet in enumerate(datagram) if octet == 0 and at >= 2]
    if not places:
        return datagram
    at = draw(st.one_of(st.just(places[-1]), st.sampled_from(places)))
    return datagram[:at] + datagram[at + 1 :]


def _doubled(draw: st.DrawFn, datagram: bytes) -> bytes:
    """Give an option twice, in the same or another case, with the same or another value."""
    strings, first = _with_option(draw, datagram)
    at = draw(st.integers(0, (len(strings) - first) // 2 - 1)) * 2 + first
    name, value = strings[at : at + 2]
    name = draw(st.sampled_from((name, name.upper())))
    value = draw(st.one_of(st.just(value), option_values()))
    return _joined(datagram, [*strings, name, value])


def _case(draw: st.DrawFn, datagram: bytes) -> bytes:
    """Write a string in capitals, or half of it: mode and names of options have no case."""
    strings, first = _strings(datagram)
    if len(strings) <= max(first - 1, 0):
        return datagram
    at = draw(st.integers(max(first - 1, 0), len(strings) - 1))
    strings[at] = draw(st.sampled_from((bytes.upper, bytes.title, bytes.swapcase)))(strings[at])
    return _joined(datagram, strings)


def _trailing(draw: st.DrawFn, datagram: bytes) -> bytes:
    """Put octets 0xFF behind a string, as boot ROMs do that pass on the padding of DHCP."""
    strings, _ = _strings(datagram)
    at = draw(st.one_of(st.just(0), st.integers(0, max(0, len(strings) - 1))))
    if strings:
        strings[at] += b"\xff" * draw(st.sampled_from((1, 2, 16)))
    return _joined(datagram, strings)


def _number(draw: st.DrawFn, datagram: bytes) -> bytes:
    """Write an option's number in an odd way."""
    strings, first = _with_option(draw, datagram)
    at = draw(st.integers(0, (len(strings) - first) // 2 - 1)) * 2 + first
    strings[at + 1] = draw(odd_numbers())
    return _joined(datagram, strings)


_DAMAGES: Final[dict[Kind, Damage]] = {
    "cut": _cut,
    "splice": _splice,
    "flip": _flip,
    "short": _short,
    "long": _long,
    "opcode": _opcode,
    "pad": _pad,
    "unterminated": _unterminated,
    "doubled": _doubled,
    "case": _case,
    "trailing": _trailing,
    "number": _number,
}

KINDS: Final[tuple[Kind, ...]] = tuple(_DAMAGES)
"""All kinds of damage: cut off, spliced with another packet, one bit flipped, 0 to 4 octets, up to
65,535 octets, an odd opcode, padded, a NUL missing, an option doubled, wrong case, 0xFF behind a
string, a number that is signed, hexadecimal, blank, huge, or none."""

_OF_STRINGS: Final = frozenset({"unterminated", "doubled", "case", "trailing", "number"})
"""What can only be done to RRQ, WRQ and OACK."""


def damaged(
    datagram: bytes, *, kinds: Sequence[Kind] = KINDS, damages_max: int = 3
) -> st.SearchStrategy[bytes]:
    """Return near misses of one datagram: one to `damages_max` things are wrong with it.

    Kinds that can only be done to strings leave DATA, ACK and ERROR as they are.
    """
    return _damaged(st.just(datagram), kinds=tuple(kinds), damages_max=damages_max)


def near_misses(*, kinds: Sequence[Kind] = KINDS, damages_max: int = 3) -> st.SearchStrategy[bytes]:
    r"""Return near misses of packets of every kind, with one to `damages_max` things wrong.

    >>> from hypothesis import find
    >>> find(near_misses(kinds=["short"]), lambda datagram: len(datagram) == 3)
    b'\x00\x04\x00'
    """
    base = _of_strings() if _OF_STRINGS.issuperset(kinds) else _of_all()
    return _damaged(base, kinds=tuple(kinds), damages_max=damages_max)


@cache
def _of_strings() -> st.SearchStrategy[bytes]:
    packets = (well_formed_requests(), read_requests(), write_requests(), option_acks())
    return st.one_of(packets).map(encode)


@cache
def _of_all() -> st.SearchStrategy[bytes]:
    return st.one_of(valid_datagrams(), _of_strings())


@st.composite
def _damaged(
    draw: st.DrawFn,
    datagrams: st.SearchStrategy[bytes],
    *,
    kinds: tuple[Kind, ...],
    damages_max: int,
) -> bytes:
    datagram = draw(datagrams)
    if opcode_of(datagram) not in _STRING_PACKETS:
        kinds = tuple(kind for kind in kinds if kind not in _OF_STRINGS)
    if not kinds:
        return datagram
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=damages_max)):
        if kind not in _OF_STRINGS or opcode_of(datagram) in _STRING_PACKETS:
            datagram = _DAMAGES[kind](draw, datagram)
    return brief(datagram)


_STRING_PACKETS: Final = (Opcode.RRQ, Opcode.WRQ, Opcode.OACK)


@cache
def datagrams() -> st.SearchStrategy[bytes]:
    """Return whatever may come in: packets, near misses, noise, and next to nothing."""
    return st.one_of(
        valid_datagrams(), near_misses(), st.binary(max_size=64), st.binary(max_size=4)
    )


def _strings(datagram: bytes) -> tuple[list[bytes], int]:
    """Return the strings of a packet, and the index of the first option among them."""
    strings = datagram[2:].split(b"\0")[:-1]
    return strings, 0 if opcode_of(datagram) == Opcode.OACK else 2


def _with_option(draw: st.DrawFn, datagram: bytes) -> tuple[list[bytes], int]:
    """Return the strings of a packet with an option at least, and the index of the first one."""
    strings, first = _strings(datagram)
    strings += [b"octet"] * (first - len(strings))
    if len(strings) < first + 2:
        strings = [*strings[:first], draw(st.sampled_from(OPTION_NAMES)), b"512"]
    return strings, first


def _joined(datagram: bytes, strings: list[bytes]) -> bytes:
    return datagram[:2] + b"".join(string + b"\0" for string in strings)
