"""What a trace says against a server: rules of the RFCs, each a function from a life to findings.

Pure.  A rule fires only on what no lost, late or repeated datagram can explain by itself; what a timer
of the server could explain is asked for again by `Trial`, more calmly.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from snowowl.testing.fuzzing.describe import described
from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.trace import Entry, Life, Trace, blksize_of, granted
from snowowl.wire.codec import block_number_of
from snowowl.wire.constants import (
    BLKSIZE_DEFAULT,
    BLKSIZE_MAX,
    BLKSIZE_MIN,
    HEADER_SIZE,
    TIMEOUT_MAX,
    TIMEOUT_MIN,
    WINDOWSIZE_MAX,
    WINDOWSIZE_MIN,
    ErrorCode,
    Opcode,
)

RANGES: Final = {
    b"blksize": (BLKSIZE_MIN, BLKSIZE_MAX),  # RFC 2348
    b"timeout": (TIMEOUT_MIN, TIMEOUT_MAX),  # RFC 2349
    b"windowsize": (WINDOWSIZE_MIN, WINDOWSIZE_MAX),  # RFC 7440
}

PROMPT_SECONDS: Final = 0.03
"""An answer so soon is an answer, and no timer: no server here sends again within 100 ms."""

COPIES_MIN: Final = 3

GOES_ON_SECONDS: Final = 0.3
"""DATA so long after an ERROR that ended the transfer was not under way any more."""

PACKETS_A_SECOND: Final = 3
"""Packets that a request may bring before the first ACK, for each second that was listened: the first
block, and twice more for those who cannot wait."""

OCTETS_A_PACKET: Final = BLKSIZE_DEFAULT + HEADER_SIZE
"""Octets that each of those may have: DATA 1 of a read without options, the largest legitimate first packet."""

_Rule = Callable[[Life], Iterator[Finding]]


def judge(trace: Trace) -> list[Finding]:
    """Return what a trace says against the server, each finding once."""
    found: dict[Finding, None] = {}
    for life in trace.lives:
        for rule in _RULES:
            found.update(dict.fromkeys(rule(life)))
    return list(found)


def _protocol(rule: str, text: str, shape: str = "") -> Finding:
    return Finding(Oracle.PROTOCOL, rule, text, shape)


# What was asked.


def _asked(life: Life) -> tuple[frozenset[bytes], dict[bytes, set[bytes]]]:
    """Return all strings that were in requests, in lower case, and those that came after each.

    Servers read damaged requests differently; whatever any reading may find was asked for.
    """
    words: set[bytes] = set()
    values: dict[bytes, set[bytes]] = {}
    for entry in life.sent():
        strings = entry.octets[2:].lower().split(b"\0")
        words.update(strings)
        for name, value in itertools.pairwise(strings):
            values.setdefault(name, set()).add(value)
    return frozenset(words), values


# Rules about single packets.


def _well_formed(life: Life) -> Iterator[Finding]:
    for entry in life.heard():
        octets, opcode = entry.octets, entry.opcode
        problem = ""
        if opcode not in (Opcode.DATA, Opcode.ACK, Opcode.ERROR, Opcode.OACK):
            problem = "is no packet of a server"
        elif opcode == Opcode.OACK:
            if not octets.endswith(b"\0") or octets.count(b"\0", 2) % 2:
                problem = "has not a value for each option, each ended by a NUL"
        elif len(octets) < HEADER_SIZE:
            problem = "has no four octets"
        elif opcode == Opcode.ERROR and not octets.endswith(b"\0", HEADER_SIZE):
            problem = "has no NUL at its end"
        elif opcode == Opcode.ACK and len(octets) > HEADER_SIZE:
            problem = "has more than four octets"
        if problem:
            yield _protocol("malformed", f"{described(octets)} {problem}", _kind(entry))


def _options(life: Life) -> Iterator[Finding]:
    words, values = _asked(life)
    for entry in life.heard():
        if entry.opcode != Opcode.OACK:
            continue
        for name, value in granted(entry.octets).items():
            shape = name.decode("latin-1") if name in _KNOWN else "unknown"
            said = f"{name.decode('latin-1')}={value.decode('latin-1')}"
            if name not in words:
                yield _protocol("oack-unasked", f"OACK {said}, which was not asked for", shape)
            elif name in RANGES and not _within(value, *RANGES[name]):
                low, high = RANGES[name]
                yield _protocol("oack-range", f"OACK {said}, which is not in {low}..{high}", shape)
            elif name in RANGES and value.isdigit() and (asked := _numbers(values.get(name, ()))):
                if name == b"timeout" and int(value) not in asked:
                    wrong = (
                        f"OACK {said}, where {_either(asked)} was asked for: it must be the same"
                    )
                    yield _protocol("oack-other", wrong, shape)
                elif int(value) > max(asked):
                    wrong = f"OACK {said}, where {max(asked)} was asked for"
                    yield _protocol("oack-larger", wrong, shape)


_KNOWN: Final = frozenset(
    {b"blksize", b"timeout", b"tsize", b"windowsize", b"rollover", b"multicast"}
)


def _within(value: bytes, low: int, high: int) -> bool:
    return value.isdigit() and len(value) < 10 and low <= int(value) <= high


def _numbers(values: Iterable[bytes]) -> set[int]:
    """Return the values if each of them is a number: who sends another cannot say what is larger."""
    plain = [value for value in values if re.fullmatch(rb"\d{1,20}", value)]
    return {int(value) for value in plain} if len(plain) == len(list(values)) else set()


def _either(numbers: set[int]) -> str:
    return " or ".join(str(number) for number in sorted(numbers))


# Rules about the order of packets.


def _sizes(life: Life) -> Iterator[Finding]:
    blksizes: dict[bytes, int] = {}
    lasts: dict[bytes, int] = {}
    # What a server makes of several requests from one port is too uncertain to say which block is last.
    single = len(list(life.requests())) < 2
    for entry in life.entries:
        if entry.is_sent:
            if entry.address == life.listening:
                lasts.clear()  # perhaps a new transfer
            continue
        source = entry.address
        if entry.opcode == Opcode.OACK:
            blksizes[source] = max(blksizes.get(source, 0), blksize_of(entry.octets))
        if entry.opcode != Opcode.DATA or len(entry.octets) < HEADER_SIZE:
            continue
        size, blksize = len(entry.octets) - HEADER_SIZE, blksizes.get(source, BLKSIZE_DEFAULT)
        number = block_number_of(entry.octets)
        if size > max(blksize, BLKSIZE_MIN):
            yield _protocol("data-oversize", f"DATA {number} has {size} octets, not {blksize}")
        last = lasts.get(source)
        if last is not None and number == last + 1 and single:
            yield _protocol("data-after-last", f"DATA {number} after DATA {last}, which was short")
        if size < blksize:
            lasts[source] = number


def _goes_on_after_its_error(life: Life) -> Iterator[Finding]:
    ended: dict[bytes, Entry] = {}
    for entry in life.entries:
        if entry.is_sent:
            if entry.address == life.listening:
                ended.clear()
        elif entry.opcode == Opcode.ERROR and len(entry.octets) >= HEADER_SIZE:
            code = block_number_of(entry.octets)
            if code != ErrorCode.UNKNOWN_TID and entry.address != life.listening:
                ended[entry.address] = entry
        elif entry.address in ended and entry.opcode in (Opcode.DATA, Opcode.ACK, Opcode.OACK):
            text = f"{described(entry.octets)} after {described(ended[entry.address].octets)}"
            yield _protocol("after-own-error", text, _kind(entry))


def _hears_errors(life: Life) -> Iterator[Finding]:
    """Find that an ERROR is answered, or ends no transfer (RFC 1350 section 7)."""
    told: Entry | None = None
    before_asked = False
    for entry in life.entries:
        if entry.is_sent:
            told = entry if _is_error(entry) else None
            before_asked = entry.address == life.listening
        elif told is not None and entry.at - told.at >= 0:
            if entry.opcode == Opcode.ERROR and entry.at - told.at < _ANSWERED_SECONDS:
                yield _protocol(
                    "error-answered",
                    f"{described(entry.octets)} in answer to {described(told.octets)}",
                    "listening port" if before_asked else "TID",
                )
            elif (
                entry.opcode == Opcode.DATA
                and entry.address == told.address
                and not before_asked
                and block_number_of(told.octets) != ErrorCode.UNKNOWN_TID
                and entry.at - told.at > GOES_ON_SECONDS
            ):
                late = f"{entry.at - told.at:.1f} s after {described(told.octets)}"
                yield _protocol("goes-on-after-error", f"{described(entry.octets)} {late}")


_ANSWERED_SECONDS: Final = 0.5


def _is_error(entry: Entry) -> bool:
    return entry.opcode == Opcode.ERROR and len(entry.octets) > HEADER_SIZE


def _sorcerer(life: Life) -> Iterator[Finding]:
    """Find that each copy of an ACK brings another DATA (RFC 1123 section 4.2.3.1)."""
    if any(b"windowsize" in entry.octets.lower() for entry in life.sent()):
        return  # with a window an ACK may ask for more (RFC 7440)
    entries = life.entries
    copies: dict[bytes, int] = {}
    brought: dict[bytes, int] = {}
    for index, entry in enumerate(entries):
        if not (entry.is_sent and entry.copy and entry.opcode == Opcode.ACK):
            continue
        copies[entry.octets] = copies.get(entry.octets, 0) + 1
        if index + 1 == len(entries):
            break
        after = entries[index + 1]
        wanted = (block_number_of(entry.octets) + 1) % 65536
        known = any(
            not earlier.is_sent and earlier.octets == after.octets for earlier in entries[:index]
        )
        if (
            known
            and not after.is_sent
            and after.opcode == Opcode.DATA
            and block_number_of(after.octets) == wanted
            and after.at - entry.at < PROMPT_SECONDS
        ):
            brought[entry.octets] = brought.get(entry.octets, 0) + 1
    for octets, count in brought.items():
        # A timer may answer some of them by chance, but hardly each of three.
        if count == copies[octets] >= COPIES_MIN:
            text = f"each of {count} copies of {described(octets)} brought the next DATA again"
            yield _protocol("sorcerers-apprentice", text)


def _amplification(life: Life) -> Iterator[Finding]:
    """Find much sent to a peer before it has answered: its address may be forged."""
    asked = [entry for entry in life.sent() if entry.address == life.listening]
    heard: list[Entry] = []
    for entry in life.entries:
        if entry.is_sent and entry.address != life.listening:
            break
        if not entry.is_sent:
            heard.append(entry)
    if not asked or not heard:
        return
    asked = [entry for entry in asked if entry.at <= heard[-1].at]
    seconds = max(1.0, heard[-1].at - asked[0].at)
    octets_in = sum(len(entry.octets) for entry in asked)
    octets_out = sum(len(entry.octets) for entry in heard)
    packets_max = PACKETS_A_SECOND * len(asked) * seconds
    octets_max = packets_max * OCTETS_A_PACKET + octets_in
    said = f"{len(heard)} datagrams, {octets_out} octets for {octets_in} octets"
    said += f" in {len(asked)} datagrams, {seconds:.0f} s, before any ACK"
    if len(heard) > packets_max:
        yield Finding(
            Oracle.AMPLIFICATION, "datagrams", f"{said}: over {packets_max:.0f} datagrams"
        )
    elif octets_out > octets_max:
        yield Finding(Oracle.AMPLIFICATION, "octets", f"{said}: over {octets_max:.0f} octets")


def _kind(entry: Entry) -> str:
    if entry.opcode in Opcode.__members__.values():
        return Opcode(entry.opcode).name
    return "other"


_RULES: Final[tuple[_Rule, ...]] = (
    _well_formed,
    _options,
    _sizes,
    _goes_on_after_its_error,
    _hears_errors,
    _sorcerer,
    _amplification,
)
