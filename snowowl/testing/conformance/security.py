"""Names that lead out of the folder, amplification, texts that tell too much."""

from __future__ import annotations

import re
from typing import Final

from snowowl.testing.conformance.case import WRITE, Chapter, Play
from snowowl.testing.conformance.packets import Answer, rrq, wrq
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import Deviation, Inapplicable, Informed, Level, Verdict

CHAPTER: Final = Chapter("Security", alone=True)
case = CHAPTER.case

UP: Final = b"../" * 12
"""From any folder to the top: there is nothing above it."""

OUTSIDE: Final = (b"etc/passwd", b"windows/win.ini")
"""Files that are on nearly every machine, and in no folder that is served."""

_SIGNS: Final = re.compile(rb"(?m)^root:[^\n]*:0:0:|^\[fonts\]|^; for 16-bit app support")
_PATH: Final = re.compile(rb"(?:/[\w.+-]+){2,}|[A-Za-z]:\\[^\s'\"]+")

REPEATS_MAX: Final = 8
"""Datagrams to a peer that never answers: the classic servers send five or six."""


async def _escapes(stage: Stage, *names: bytes) -> str | None:
    """Ask for files outside; it is an escape only if what comes is surely one of those."""
    odd = ""
    for name in names:
        async with stage.client() as client:
            await client.send(rrq(name))
            answer = await client.hear(max(stage.moment, 1.0))
            if answer is None:
                continue
            client.tid, client.over = answer.source, answer.is_error()
            if not answer.is_data():
                continue
            if _SIGNS.search(answer.payload):
                raise Deviation(f"gives away a file from outside for {_shown(name)}")
            odd = f"something was served for {_shown(name)}: see whether it may be"
    if odd:
        raise Informed(odd)
    return None


def _shown(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace").replace("../" * 12, "../../(12 times)../")


def _name_case(case_id: str, text: str, *patterns: bytes) -> Play:
    @case(case_id, "RFC 1123 section 4.2.3.4", Level.SAFETY, text)
    async def play(stage: Stage) -> str | None:
        folder = stage.target.read.rpartition(b"/")[0] or b"boot"
        names = [
            pattern.replace(b"{outside}", outside)
            .replace(b"{file}", stage.target.read)
            .replace(b"{folder}", folder)
            for pattern in patterns
            for outside in OUTSIDE
        ]
        return await _escapes(stage, *names)

    return play


_name_case(
    "security-parent",
    "`../` at the beginning of a name does not lead out of the folder.",
    UP + b"{outside}",
    b"/" + UP + b"{outside}",
    b"./" + UP + b"{outside}",
)
_name_case(
    "security-parent-inside",
    "`../` inside of a name does not lead out of the folder.",
    b"a/../" + UP + b"{outside}",
    b"a/" + UP + b"{outside}",
    b"./a/./" + UP + b"{outside}",
    # Where the kernel follows the name, only a folder that exists leads on.
    b"{folder}/" + UP + b"{outside}",
    b"pxelinux.cfg/" + UP + b"{outside}",
    b"{file}/" + UP + b"{outside}",
)
_name_case(
    "security-absolute",
    "A name that begins with a slash means a file in the folder.",
    b"/{outside}",
    b"//{outside}",
    b"///{outside}",
    b"C:/{outside}",
    b"file:///{outside}",
)
_name_case(
    "security-backslash",
    "Backslashes do not lead out of the folder.",
    UP.replace(b"/", b"\\") + b"{outside}",
    b"a\\" + UP.replace(b"/", b"\\") + b"{outside}",
    b"..\\" * 12 + b"windows\\win.ini",
    b"C:\\windows\\win.ini",
)
_name_case(
    "security-encoded",
    "Names are octets: `%2e`, doubled dots and overlong UTF-8 lead nowhere.",
    b"%2e%2e/" * 12 + b"{outside}",
    b"..%2f" * 12 + b"{outside}",
    b"....//" * 12 + b"{outside}",
    b"..././" * 12 + b"{outside}",
    b"\xc0\xae\xc0\xae/" * 12 + b"{outside}",
    b"..;/" * 12 + b"{outside}",
)
_name_case(
    "security-shell",
    "Names are no commands and no patterns.",
    b"~root/../{outside}",
    b"$(cat /{outside})",
    b"|cat /{outside}",
    b"/[e]tc/pass[w]d",
    b"/proc/self/root/{outside}",
)


@case(
    "security-write-outside",
    "RFC 1123 section 4.2.3.4",
    Level.SAFETY,
    "`../` in the name of an upload does not lead out of the folder.",
    needs=(WRITE,),
)
async def _write_outside(stage: Stage) -> str | None:
    word = stage.missing_name() + b".tmp"
    # No octet is ever sent: at the worst an empty file of that name is left.
    for name in (UP + b"tmp/" + word, b"a/" + UP + b"tmp/" + word):
        async with stage.client() as client:
            await client.send(wrq(name))
            answer = await client.hear(max(stage.moment, 1.0))
            if answer is None:
                continue
            client.tid, client.over = answer.source, answer.is_error()
            if answer.is_ack() or answer.is_oack:
                read_back = await _served(stage, UP + b"tmp/" + word)
                where = ", and serves it from there" if read_back else ""
                raise Informed(f"takes an upload to {_shown(name)}{where}: see where it went")
    return None


async def _served(stage: Stage, name: bytes) -> bool:
    async with stage.client() as client:
        await client.send(rrq(name))
        answer = await client.hear(max(stage.moment, 1.0))
        if answer is None:
            return False
        client.tid, client.over = answer.source, answer.is_error()
        return answer.is_data()


@case(
    "security-window-unasked",
    "RFC 7440 section 7",
    Level.PRACTICE,
    "Before the client has answered, a request with a window causes one datagram: its source may be forged.",
    needs=("windowsize",),
)
async def _window_unasked(stage: Stage) -> str | None:
    options = [(name, value) for name, value in (("blksize", 1428), ("windowsize", 64))]
    async with stage.client() as client:
        await client.ask(stage.rrq(*options))
        more = await client.hear_all(stage.moment)
        if any(came.is_data() for came in more):
            raise Deviation(f"{len(more)} more datagrams came", Verdict.FAILED)
    return None


@case(
    "security-amplification",
    "reflection attacks",
    Level.PRACTICE,
    "To a peer that never answers only the first packet is sent again, a few times, and no other.",
)
async def _amplification(stage: Stage) -> str | None:
    request = stage.rrq()
    async with stage.client() as client:
        first = await client.ask(request)
        await client.hear_all(2 * stage.patience, count_max=10 * REPEATS_MAX)
        count = len(client.came)
        others = [
            came for came in client.came if came.octets != first.octets and not came.is_error()
        ]
        if others:  # an ERROR says that it gives up
            said = f"{others[0]} came, which is not the first packet again"
            raise Deviation(said, Verdict.FAILED if len(others[0].octets) > 4 else None)
        octets = sum(len(came.octets) for came in client.came)
        told = f"{count} datagrams in {2 * stage.patience:g} s, {octets / len(request):.0f} times the request"
        if count > REPEATS_MAX:
            raise Deviation(told)
        return told


async def _error_texts(stage: Stage) -> list[tuple[bytes, Answer]]:
    """Return what was asked for and refused, and how."""
    refused: list[tuple[bytes, Answer]] = []
    for name in (stage.missing_name(), b"no-such-folder/no-such-file", b"."):
        async with stage.client() as client:
            await client.send(rrq(name))
            answer = await client.hear(max(stage.moment, 1.0))
            if answer is None:
                continue
            client.tid, client.over = answer.source, answer.is_error()
            if answer.is_error():
                refused.append((name, answer))
    if not refused:
        raise Inapplicable("nothing was refused by an ERROR")
    return refused


@case(
    "security-error-paths",
    "fbtftp, dnsmasq",
    Level.PRACTICE,
    "The text of an ERROR does not tell where on the server the folder is.",
)
async def _error_paths(stage: Stage) -> str | None:
    for name, answer in await _error_texts(stage):
        text = answer.payload.partition(b"\0")[0]
        for path in _PATH.findall(text):
            if path.strip(b"/") not in name and name.strip(b"/") != path.strip(b"/"):
                raise Deviation(f"it tells a path: {answer}")
    return None


@case(
    "security-error-size",
    "reflection attacks, boot ROMs with small buffers",
    Level.PRACTICE,
    "An ERROR is of moderate size, whatever name was asked for.",
)
async def _error_size(stage: Stage) -> str | None:
    async with stage.client() as client:
        request = rrq(stage.missing_name() + b"x" * 400)
        answer = await client.ask(request)
        if not answer.is_error():
            raise Deviation(f"expected an ERROR, but {answer} came")
        if len(answer.octets) > 516:
            raise Deviation(f"the ERROR has {len(answer.octets)} octets, more than a DATA of 512")
    return None
