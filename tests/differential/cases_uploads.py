"""Cases: uploads.  Each writes to a name of its own, as all are played at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.differential import tree
from tests.differential.steps import (
    Case,
    Step,
    ack,
    again,
    ask,
    case,
    data,
    granted,
    hear,
    hear_all,
    hear_repeat,
    kept,
    payload,
    put,
    reply,
    stranger,
)
from tests.real.harness import ack as ack_packet
from tests.real.harness import data as data_packet
from tests.real.harness import error, wrq

_NAMES: Final = (
    ("new", "new", "a new file"),
    ("new-in-folder", "sub/new", "a new file in a folder"),
    ("new-leading-slash", "/new-slash", "a new file, with a slash before its name"),
    ("missing-folder", "nowhere/new", "a new file in a folder that is not there"),
    ("locked-folder", "locked/new", "a new file in a folder that only root may enter"),
    ("overwrite", "overwritable", "a file that everybody may write"),
    ("overwrite-read-only", "read-only", "a file that only root may write, in a folder for all"),
    ("folder", "empty-folder", "a folder"),
    ("fifo", "fifo", "a named pipe"),
    ("dotdot", "../written", "up, out of the root"),
    ("outside", "../" + tree.OUTSIDE, "a file beside the root"),
    ("link-to-existing", "link-to-overwritable", "a link to a file that everybody may write"),
    ("link-to-new", "link-to-new", "a link to nothing yet"),
    ("link-outside", "link-folder-outside/written", "a folder outside, by a link"),
    ("hidden", ".written", "a hidden file"),
    ("empty", "", "no name"),
)
_SIZES: Final = (0, 1, 511, 512, 513, 1024, 5000)
_QUICK: Final = {"new", "missing-folder", "overwrite", "dotdot", "link-to-existing"}


def cases() -> Iterator[Case]:
    """Yield them."""
    yield from _names()
    yield from _options()
    yield from _contents()
    yield from _blocks()
    yield from _breaks()
    yield from _repeats()


def _case(name: str, about: str, *steps: Step, quick: bool = False) -> Case:
    return case(f"write-{name}", about, *steps, quick=quick, writes=True)


def _names() -> Iterator[Case]:
    content = payload(700)
    for name, path, about in _NAMES:
        beneath = path.lstrip("/") or "."
        look = [] if name in ("folder", "fifo", "empty") else [kept(beneath, content)]
        yield _case(
            name, about, ask(wrq(path.encode())), hear(), put(content), *look, quick=name in _QUICK
        )


def _options() -> Iterator[Case]:
    content = payload(3000)
    for name, options in (
        ("blksize-8", [("blksize", "8")]),
        ("blksize-1428", [("blksize", "1428")]),
        ("blksize-65464", [("blksize", "65464")]),
        ("blksize-abc", [("blksize", "abc")]),
        ("tsize", [("tsize", "3000")]),
        ("tsize-0", [("tsize", "0")]),
        ("tsize-too-small", [("tsize", "10")]),
        ("tsize-too-large", [("tsize", "5000")]),
        ("tsize-huge", [("tsize", str(1 << 62))]),
        ("tsize-abc", [("tsize", "abc")]),
        ("timeout", [("timeout", "3")]),
        ("windowsize", [("windowsize", "4")]),
        ("unknown", [("frobnicate", "yes")]),
        ("all", [("tsize", "3000"), ("blksize", "1024"), ("windowsize", "2"), ("timeout", "3")]),
    ):
        path = f"options-{name}"
        yield _case(
            path,
            f"an upload that asks for {', '.join('='.join(option) for option in options)}",
            *(ask(wrq(path.encode(), *options)), hear(), put(content), kept(path, content)),
            quick=name in ("tsize", "all"),
        )


def _contents() -> Iterator[Case]:
    for size in _SIZES:
        content = payload(size)
        path = f"sized-{size}"
        yield _case(
            path,
            f"{size} octets",
            *(ask(wrq(path.encode())), hear(), put(content), kept(path, content)),
            quick=size in (0, 512),
        )
    sent = b"one\r\ntwo\r\0three\nfour\rfive"
    yield _case(
        "netascii",
        "what is kept of netascii: CR LF is a line's end, CR NUL is CR",
        *(ask(wrq(b"netascii", mode=b"netascii")), hear(), put(sent)),
        kept("netascii", b"one\ntwo\rthree\nfour\rfive"),
    )
    across = b"x" * 511 + b"\r\n" + b"y" * 510 + b"\r\0z"
    yield _case(
        "netascii-across",
        "CR LF and CR NUL across the end of a block",
        *(ask(wrq(b"netascii-across", mode=b"netascii")), hear(), put(across)),
        kept("netascii-across", b"x" * 511 + b"\n" + b"y" * 510 + b"\rz"),
    )
    yield _case("mail", "mode mail (obsolete)", ask(wrq(b"somebody", mode=b"mail")), hear_all())


def _begun(name: str) -> tuple[Step, ...]:
    return ask(wrq(name.encode())), hear(), data(1), hear()


def _blocks() -> Iterator[Case]:
    for name, about, number in (
        ("duplicate", "the same block twice", 1),
        ("ahead", "a block that is not the next", 4),
        ("zero", "block 0", 0),
    ):
        path = f"data-{name}"
        steps = (*_begun(path), data(number), hear_all(), data(2, 10), hear_all())
        yield _case(path, about, *steps, quick=name == "duplicate")
    yield _case(
        "data-last-twice",
        "the last block twice: its ACK was lost (RFC 1350 6)",
        *(*_begun("last-twice"), data(2, 10), hear_all(), data(2, 10), hear_all()),
        quick=True,
    )
    yield _case(
        "data-too-long",
        "a block that is longer than was agreed",
        *(*_begun("too-long"), data(2, 600), hear_all()),
    )
    yield _case(
        "data-of-3-octets",
        "DATA that is cut within its header",
        *(*_begun("cut"), reply(b"\0\3\0"), hear_all(), data(2, 10), hear_all()),
    )
    yield _case(
        "ack-to-a-receiver",
        "an ACK to who receives DATA",
        *(*_begun("acked"), ack(2), hear_all(), data(2, 10), hear_all()),
    )


def _breaks() -> Iterator[Case]:
    yield _case(
        "error",
        "an ERROR in the middle: nothing may be left",
        *(*_begun("broken-off"), reply(error(0, b"enough")), hear_all()),
        kept("broken-off"),
        quick=True,
    )
    yield _case(
        "error-overwrites",
        "an ERROR in the middle of a file that was there: it must be what it was",
        *(*_begun("overwritable-fails"), reply(error(3, b"enough")), hear_all()),
        kept("overwritable-fails"),
    )
    yield _case(
        "unfinished",
        "what others may see of a file that is not whole yet",
        *(*_begun("unfinished"), kept("unfinished")),
    )
    yield _case(
        "empty-overwrites",
        "an upload of nothing to a file that was there",
        *(ask(wrq(b"overwritable-empty")), hear(), put(b""), kept("overwritable-empty", b"")),
    )
    for name, octets in (("data", data_packet(2, b"x" * 512)), ("error", error(0, b"enough"))):
        path = f"stranger-{name}"
        yield _case(
            path,
            "a packet from another port: ERROR 5 for the stranger, the upload lives",
            *(*_begun(path), stranger(octets), data(2, 10), hear_all()),
        )
    yield _case(
        "stranger-ack",
        "an ACK from another port",
        *(*_begun("stranger-ack"), stranger(ack_packet(1)), data(2, 10), hear_all()),
    )


def _repeats() -> Iterator[Case]:
    yield _case(
        "lost-data",
        "no block comes",
        *(ask(wrq(b"lost-data", ("timeout", 1))), hear(), hear_repeat()),
    )
    yield _case(
        "lost-data-later",
        "no second block comes",
        *(ask(wrq(b"lost-later", ("timeout", 1))), hear(), data(1), hear(), hear_repeat()),
    )
    yield _case(
        "request-repeated",
        "the same request again before the first block",
        *(ask(wrq(b"repeated")), hear(), again(0.2), hear_all()),
        quick=True,
    )
    windowed = (ask(wrq(b"windowed", ("windowsize", 4))), hear(), granted("windowsize"))
    yield _case(
        "window-gap",
        "a block of a window is missing (RFC 7440 4: the last good one is acknowledged)",
        *(*windowed, data(1), data(3), data(4), hear_all()),
    )
    yield _case(
        "window-last",
        "the last block before the window is full",
        *(ask(wrq(b"windowed-last", ("windowsize", 4))), hear(), granted("windowsize")),
        *(data(1), data(2, 10), hear_all()),
    )
