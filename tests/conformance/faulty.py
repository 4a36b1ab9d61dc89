"""Servers that are wrong in one way each, and what the suite has to say of them.

`@fault(...)` names the cases that must see it.  Where several do, the fault breaks several clauses.
No other case may say anything, but for those in `also`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import trio

from snowowl.testing.conformance.packets import ack, data, error
from tests.conformance.naive import Line, Naive, Options, Terms

FAULTS: dict[str, Fault] = {}


@attrs.frozen
class Fault:
    server: type[Naive]
    cases: frozenset[str]
    """Those that are there to see it."""
    also: frozenset[str]
    """Those that cannot help seeing it, as it breaks what they begin with."""


def fault(*cases: str, also: str = "") -> Callable[[type[Naive]], type[Naive]]:
    def add(server: type[Naive]) -> type[Naive]:
        FAULTS[server.__name__] = Fault(server, frozenset(cases), frozenset(also.split()))
        return server

    return add


class DiedError(Exception):
    """What ends a server."""


# Reading.


@fault("1123-4.2.3.1-apprentice", "1123-4.2.3.1-echoing-client", "7440-no-storm")
class SorcerersApprentice(Naive):
    def duplicate_ack(self, terms: Terms, base: int, following: int) -> int:
        return base


@fault("7440-no-storm")
class WindowStorm(Naive):
    def duplicate_ack(self, terms: Terms, base: int, following: int) -> int:
        return base if terms.windowsize > 1 else following


@fault(
    "2348-exact-multiple",
    also="1350-6-write-empty 1350-6-write-multiple 2348-blksize-100 2348-blksize-8 7440-with-blksize",
)
class NoEmptyLastBlock(Naive):
    def blocks(self, content: bytes, blksize: int) -> list[bytes]:
        return [block for block in super().blocks(content, blksize) if block]


@fault("1350-2-ack-ahead", "7440-ack-ahead")
class BelievesAcksAhead(Naive):
    def is_progress(self, moved: int, in_flight: int) -> bool:
        return 0 < moved < 32768


@fault("1350-4-wrong-tid-error")
class SilentToStrays(Naive):
    def stray(self, line: Line, octets: bytes, peer: bytes) -> None:
        pass


@fault(
    "1350-4-wrong-tid-error",
    "1350-4-wrong-tid-ack",
    "1350-4-wrong-tid-abort",
    "1350-4-write-wrong-tid",
)
class ListensToAnybody(Naive):
    def takes_strays(self, octets: bytes) -> bool:
        return True


@fault("1350-4-wrong-tid-abort", "1350-4-write-wrong-tid")
class AnybodyMayAbort(Naive):
    def takes_strays(self, octets: bytes) -> bool:
        return octets[:2] == b"\0\5"


@fault("1350-5-modes")
class LowerCaseModesOnly(Naive):
    def requested(self, nursery: trio.Nursery, octets: bytes, peer: bytes) -> bytes | None:
        if b"OCTET" in octets or b"Octet" in octets or b"oCtEt" in octets:
            return error(4, b"mode")
        return super().requested(nursery, octets, peer)


@fault("1350-1-netascii", "1350-1-write-netascii")
class NetasciiAsItIs(Naive):
    def to_wire(self, content: bytes) -> bytes:
        return content


@fault("1350-1-netascii", "1350-1-write-netascii")
class LeavesBareCr(Naive):
    def to_wire(self, content: bytes) -> bytes:
        return content.replace(b"\n", b"\r\n")


@fault(
    "1350-6-last-block-again",
    "1123-4.2.3.2-retransmit",
    "1123-4.2.3.2-first-again",
    "1123-4.2.3.2-goes-on",
    "2347-oack-again",
    "7440-last-window-again",
    "1123-4.2.3.2-backoff",
    "1350-2-write-ack-again",
    "2349-timeout-obeyed",
    also="2347-write-oack-again",
)
class NeverSendsAgain(Naive):
    def waits(self, terms: Terms) -> Iterator[float]:
        yield 60.0


@fault("1123-4.2.3.2-backoff", "security-amplification")
class NoBackoff(Naive):
    retries = 30

    def waits(self, terms: Terms) -> Iterator[float]:
        for _ in range(self.retries):
            yield terms.timeout or 1.0


@fault("1123-4.2.3.2-first-again", "security-amplification", also="7440-last-window-again")
class FirstBlockAgainIsShort(Naive):
    """As atftpd 0.8 does."""

    def timed_out(self, base: int, following: int) -> int:
        self._short = base == 0
        return base

    def data(self, block: int, payload: bytes) -> bytes:
        short, self._short = getattr(self, "_short", False), False
        return b"\0\3\0" if short else data(block, payload)


@fault("1350-6-end")
class LastWord(Naive):
    def done(self, line: Line) -> None:
        line.send(ack(0))


@fault("1350-7-error-ends", "1350-7-short-error-ends", "1350-7-write-error-ends")
class AnswersErrors(Naive):
    def ends(self, line: Line, octets: bytes) -> bool:
        if super().ends(line, octets):
            line.send(error(4, b"what?"))
            return True
        return False


@fault("1350-7-error-ends", "1350-7-short-error-ends", "1350-7-write-error-ends")
class DeafToErrors(Naive):
    def ends(self, line: Line, octets: bytes) -> bool:
        return False


@fault("1350-7-short-error-ends")
class WantsATextInErrors(Naive):
    def ends(self, line: Line, octets: bytes) -> bool:
        return octets[:2] == b"\0\5" and len(octets) > 5


@fault("1350-2-not-data")
class TakesDataForAcks(Naive):
    async def read(self, line: Line, content: bytes, terms: Terms) -> None:
        hear = line.hear

        async def heard(seconds: float) -> bytes | None:
            octets = await hear(seconds)
            return b"\0\4" + octets[2:4] if octets is not None and octets[:2] == b"\0\3" else octets

        line.hear = heard  # type: ignore[method-assign]
        await super().read(line, content, terms)


@fault("practice-junk-amid", "practice-padded-ack", also="1350-2-not-data")
class PickyAboutPackets(Naive):
    def ends(self, line: Line, octets: bytes) -> bool:
        return len(octets) != 4 or octets[:2] == b"\0\5"


# Errors and requests.


@fault(
    "1350-5-missing-file",
    "1350-5-missing-at-once",
    "2347-missing-file",
    also="1350-5-error-form security-error-size",
)
class ServesNothingForMissing(Naive):
    def name_of(self, name: bytes) -> bytes:
        name = super().name_of(name)
        if b"-missing" in name:
            self.files.setdefault(name, b"")
        return name


@fault("1350-5-missing-file")
class WrongErrorCode(Naive):
    def missing(self, name: bytes) -> bytes:
        return error(0, b"no")


@fault("1350-5-error-form")
class ErrorWithoutNul(Naive):
    def missing(self, name: bytes) -> bytes:
        return error(1, b"file not found")[:-1]


@fault("1350-7-error-not-answered", "1350-4-stray-to-port", also="1350-7-error-once")
class AnswersEverything(Naive):
    def no_request(self, opcode: int) -> bytes | None:
        return error(4, b"no request") if opcode != 4 else data(1, b"")


@fault("1350-7-error-not-answered")
class LoopsOnErrors(Naive):
    """CVE-2024-2169."""

    def no_request(self, opcode: int) -> bytes | None:
        return error(4, b"no request")


@fault("1123-4.2.2.1-mail", "1350-5-unknown-mode")
class AnyModeWillDo(Naive):
    def requested(self, nursery: trio.Nursery, octets: bytes, peer: bytes) -> bytes | None:
        for mode in (b"mail", b"snowowl"):
            octets = octets.replace(b"\0" + mode + b"\0", b"\0octet\0")
        return super().requested(nursery, octets, peer)


@fault("security-error-paths")
class TellsItsPath(Naive):
    def missing(self, name: bytes) -> bytes:
        return error(1, b"[Errno 2] No such file: /srv/tftp/root/" + name)


# Options.


@fault("2347-unknown-ignored", "2347-only-asked", "2347-write-unknown")
class GrantsWhatNobodyAskedFor(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        terms = super().grant(options, size)
        if options and "blksize" not in options:
            terms.granted.append(("blksize", "512"))
        return terms


@fault("2347-unknown-ignored", "2347-write-unknown")
class EmptyOack(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        terms = super().grant(options, size)
        if options and not terms.granted:
            terms.granted.append(("", ""))
        return terms


@fault(
    "2347-form",
    "2347-only-asked",
    "2347-unknown-beside",
    "2347-any-order",
    "2347-order-kept",
    "2347-ack-0",
    "2347-oack-again",
    also="2348-blksize-100 2348-blksize-1024 2348-blksize-1408 2348-blksize-1428 2348-blksize-1432 2348-blksize-1468 2348-blksize-511 2348-blksize-512 2348-blksize-513 2348-blksize-65464 2348-blksize-8 2348-blksize-8192 2348-write 2349-timeout-echoed 2349-timeout-obeyed 2349-tsize-blksize 2349-tsize-read 2349-tsize-write 7440-ack-ahead 7440-ack-behind 7440-gap 7440-gap-at-once 7440-gap-file 7440-gap-window 7440-last-window-again 7440-no-storm 7440-window 7440-windowsize-1 7440-windowsize-16 7440-windowsize-32 7440-windowsize-4 7440-windowsize-64 7440-windowsize-65535 7440-with-blksize practice-probes-first",
)
class OctetsAfterTheOack(Naive):
    def oack(self, terms: Terms) -> bytes:
        return super().oack(terms) + b"\0\0"


@fault("2347-case")
class LowerCaseOptionsOnly(Naive):
    def option_name(self, key: bytes) -> str:
        return key.decode("latin-1")


@fault("2347-order-kept")
class OptionsInAnOrderOfItsOwn(Naive):
    def oack(self, terms: Terms) -> bytes:
        terms.granted.sort()
        return super().oack(terms)


@fault("2347-any-order", also="2347-unknown-beside 2349-tsize-blksize 7440-with-blksize")
class FirstOptionOnly(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        return super().grant(dict(list(options.items())[:1]), size)


@fault("2347-ack-0", "security-window-unasked", also="2347-error-8-ends 2347-oack-again")
class DoesNotWaitForAck0(Naive):
    async def opened(self, line: Line, terms: Terms) -> bool:
        if terms.granted:
            line.send(self.oack(terms))
        return True


@fault("2348-blksize-too-small", "2348-blksize-negative")
class GrantsNoBlksizeAtAll(Naive):
    """As fbtftp does: granted, and not gone by."""

    def grant(self, options: Options, size: int | None) -> Terms:
        terms = super().grant(options, size)
        if options.get("blksize", "512") in ("0", "1", "7", "-1"):
            terms.granted.append(("blksize", options["blksize"]))
        return terms


@fault("2348-blksize-1468", "2348-blksize-8192")
class GrantsMoreThanAsked(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        if options.get("blksize") in ("1468", "8192"):
            options = options | {"blksize": "9000"}
        return super().grant(options, size)


@fault("2348-blksize-513", "2348-blksize-511")
class EvenBlocksOnly(Naive):
    def blocks(self, content: bytes, blksize: int) -> list[bytes]:
        return super().blocks(content, blksize // 2 * 2)


@fault("2349-timeout-echoed")
class ClampsTheTimeout(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        if options.get("timeout") == "255":
            options = options | {"timeout": "60"}
        return super().grant(options, size)


@fault("2349-timeout-obeyed")
class GrantsATimeoutOnly(Naive):
    def waits(self, terms: Terms) -> Iterator[float]:
        return super().waits(Terms())


@fault("2349-timeout-range")
class AnyTimeout(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        terms = super().grant(options, size)
        if options.get("timeout") == "256":
            terms.granted.append(("timeout", "256"))
        return terms


@fault("2349-tsize-read", "2349-tsize-blksize", "2349-tsize-not-0", "2349-tsize-netascii")
class WrongSize(Naive):
    def told_size(self, size: int) -> str:
        return str(size + 1)


@fault("2349-tsize-write")
class TellsAnotherSizeBack(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        if size is None and "tsize" in options:
            options = options | {"tsize": "0"}
        return super().grant(options, size)


# Windows.


@fault(
    "7440-window",
    "7440-gap",
    "7440-gap-at-once",
    "7440-gap-window",
    also="7440-ack-ahead 7440-last-window-again",
)
class OneBlockTooMany(Naive):
    def window(self, terms: Terms) -> int:
        return terms.windowsize + (terms.windowsize > 1)


@fault("7440-gap", "7440-gap-at-once", "7440-gap-window")
class GoesOnAfterAGap(Naive):
    def after_ack(self, base: int, following: int) -> int:
        return following


@fault("7440-windowsize-range")
class AnyWindowsize(Naive):
    def grant(self, options: Options, size: int | None) -> Terms:
        terms = super().grant(options, size)
        if options.get("windowsize") == "0":
            terms.granted.append(("windowsize", "0"))
        return terms


# Writing.


@fault("1350-6-dally")
class DoesNotDally(Naive):
    async def dally(self, line: Line, answer: bytes, block: int) -> None:
        pass


@fault("1350-5-write-too-long")
class TakesLongBlocks(Naive):
    def fits(self, payload: bytes, terms: Terms) -> bool:
        return True


@fault("1350-2-write-again", "1350-2-write-behind")
class StoresBlocksTwice(Naive):
    def is_stored(self, number: int, due: int) -> bool:
        return number < due


@fault("1350-2-write-ahead", "7440-write-gap")
class StoresBlocksAhead(Naive):
    def is_stored(self, number: int, due: int) -> bool:
        return number > due


# Names.


@fault(
    "security-parent",
    "security-parent-inside",
    "security-encoded",
    "security-shell",
    "security-write-outside",
)
class Climbs(Naive):
    """The file beyond is there under any name that ends so."""

    def climbs(self) -> bool:
        return True

    def name_of(self, name: bytes) -> bytes:
        if b"../" in name and name.endswith(b"etc/passwd") and b"\\" not in name:
            self.files.setdefault(name, b"root:x:0:0:root:/root:/bin/sh\n")
            return name
        return super().name_of(name)


@fault("practice-leading-slash", "practice-double-slash", "practice-dot")
class NamesAsTheyAre(Naive):
    def name_of(self, name: bytes) -> bytes:
        return name.rstrip(b"\xff")


# Clients.


@fault("practice-starts-over")
class OneTransferAPeer(Naive):
    def requested(self, nursery: trio.Nursery, octets: bytes, peer: bytes) -> bytes | None:
        if peer in self._open:
            return None
        return super().requested(nursery, octets, peer)


# What ends a server: each by the case that sends just that.


def _fatal(name: str, case: str, is_fatal: Callable[[bytes], bool]) -> None:
    class Mortal(Naive):
        def requested(self, nursery: trio.Nursery, octets: bytes, peer: bytes) -> bytes | None:
            if is_fatal(octets):
                raise DiedError(case)
            return super().requested(nursery, octets, peer)

    Mortal.__name__ = name
    FAULTS[name] = Fault(Mortal, frozenset({case}), frozenset())


_fatal("DiesOfAnEmptyDatagram", "robust-empty", lambda octets: not octets)
_fatal("DiesOfOneOctet", "robust-one-octet", lambda octets: len(octets) == 1)
_fatal("DiesOfAnOpcode", "robust-opcode-only", lambda octets: len(octets) == 2)
_fatal("DiesOfThreeOctets", "robust-three-octets", lambda octets: len(octets) == 3)
_fatal("DiesOfBlksizeAbc", "2348-blksize-nonsense", lambda octets: b"blksize\0abc\0" in octets)
_fatal("DiesOfHugeNumbers", "robust-huge-numbers", lambda octets: b"9" * 4000 in octets)
_fatal("DiesOfLargeDatagrams", "robust-large-datagram", lambda octets: len(octets) > 60_000)
_fatal("DiesOfLongNames", "robust-name-long", lambda octets: b"n" * 5000 in octets)
_fatal("DiesOfControlCharacters", "robust-name-control", lambda octets: b"\x1b" in octets[:8])
