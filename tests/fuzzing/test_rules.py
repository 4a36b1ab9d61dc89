"""Rules, each on a trace that breaks it, and on the nearest one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from snowowl.testing.fuzzing import leaks, rules
from snowowl.testing.fuzzing.leaks import Secret, load_secret
from snowowl.testing.fuzzing.trace import Entry, Life, Trace, What
from snowowl.testing.simnetwork import socket_address

LISTENING = socket_address("192.0.2.1", 69)
TID = socket_address("192.0.2.1", 4000)
RRQ = b"\0\1f\0octet\0"
BLK = b"\0\1f\0octet\0blksize\0" + b"1024\0"
DATA1 = b"\0\3\0\1" + bytes(512)
DATA2 = b"\0\3\0\2" + bytes(512)
ACK1 = b"\0\4\0\1"

Event = tuple[float, str, bytes]


def life_of(*events: Event) -> Life:
    """Return a life of (time, `>`: to the listening port, `-`: to the TID, `=`: copy, `<`: heard)."""
    life = Life("A", LISTENING)
    for step, (at, way, octets) in enumerate(events):
        where = LISTENING if way == ">" else TID
        what = What.HEARD if way == "<" else What.SENT
        life.entries.append(Entry(what, at, octets, where, step, copy=way == "="))
    return life


def names(*events: Event) -> list[str]:
    return [finding.name for finding in rules.judge(Trace([life_of(*events)]))]


def error(code: int, text: bytes = b"x") -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + text + b"\0"


SORCERER: Sequence[Event] = (
    (0, ">", RRQ),
    (0, "<", DATA1),
    (1, "-", ACK1),
    (1, "<", DATA2),
    (2, "=", ACK1),
    (2.01, "<", DATA2),
    (3, "=", ACK1),
    (3.01, "<", DATA2),
    (4, "=", ACK1),
    (4.01, "<", DATA2),
)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("protocol/malformed/OACK", [(0, ">", BLK), (0, "<", b"\0\6blksize\x001024")]),
        ("protocol/malformed/ERROR", [(0, ">", RRQ), (0, "<", b"\0\5\0\1no NUL")]),
        ("protocol/malformed/ACK", [(0, ">", RRQ), (0, "<", b"\0\4\0\0x")]),
        ("protocol/malformed/other", [(0, ">", RRQ), (0, "<", b"")]),
        ("protocol/oack-unasked/tsize", [(0, ">", RRQ), (0, "<", b"\0\6tsize\x005\0")]),
        ("protocol/oack-range/blksize", [(0, ">", BLK), (0, "<", b"\0\6blksize\x000\0")]),
        ("protocol/oack-larger/blksize", [(0, ">", BLK), (0, "<", b"\0\6blksize\x001025\0")]),
        (
            "protocol/oack-other/timeout",
            [(0, ">", b"\0\1f\0octet\0timeout\x003\0"), (0, "<", b"\0\6timeout\x002\0")],
        ),
        ("protocol/data-oversize", [(0, ">", RRQ), (0, "<", DATA1 + b"x")]),
        (
            "protocol/data-after-last",
            [(0, ">", RRQ), (0, "<", DATA1[:-1]), (1, "-", ACK1), (1, "<", DATA2)],
        ),
        (
            "protocol/after-own-error/DATA",
            [(0, ">", RRQ), (0, "<", DATA1), (1, "<", error(0)), (1, "<", DATA2)],
        ),
        ("protocol/error-answered/listening port", [(0, ">", error(0)), (0.1, "<", error(4))]),
        (
            "protocol/error-answered/TID",
            [(0, ">", RRQ), (0, "<", DATA1), (1, "-", error(0)), (1.1, "<", error(5))],
        ),
        (
            "protocol/goes-on-after-error",
            [(0, ">", RRQ), (0, "<", DATA1), (1, "-", error(0)), (2.1, "<", DATA1)],
        ),
        ("protocol/sorcerers-apprentice", SORCERER),
        ("amplification/datagrams", [(0, ">", RRQ), *[(0.1, "<", DATA1)] * 4]),
        ("amplification/octets", [(0, ">", RRQ), *[(0, "<", b"\0\5\0\1" + b"x" * 1999 + b"\0")]]),
    ],
)
def test_what_breaks_a_rule(name: str, events: Sequence[Event]) -> None:
    assert name in names(*events)


@pytest.mark.parametrize(
    "events",
    [
        [(0, ">", BLK), (0, "<", b"\0\6blksize\x001024\0"), (1, "-", b"\0\4\0\0"), (1, "<", DATA1)],
        # A value that cannot be read may be answered by one that can.
        [(0, ">", b"\0\1f\0octet\0blksize\0abc\0"), (0, "<", b"\0\6blksize\x00512\0")],
        # The larger of two requests from one port was granted.
        [(0, ">", RRQ), (0, ">", BLK), (0, "<", b"\0\6blksize\x001024\0")],
        # In upper case it is the same option.
        [(0, ">", b"\0\1f\0octet\0TSIZE\x000\0"), (0, "<", b"\0\6tsize\x005\0")],
        # A timer sends again, and a late ACK of a peer is answered by none.
        [(0, ">", RRQ), (0, "<", DATA1), (1, "-", ACK1), (1, "<", DATA2), (2, "=", ACK1)],
        # Some copies may meet a timer.
        SORCERER[:8],
        [*SORCERER, (5, "=", ACK1)],
        [*SORCERER[:-1], (4.1, "<", DATA2)],
        # A window may be asked for again (RFC 7440).
        [(0, ">", b"\0\1f\0octet\0windowsize\x002\0"), *SORCERER[1:]],
        # ERROR 5 ends nobody's transfer.
        [(0, ">", RRQ), (0, "<", DATA1), (1, "<", error(5)), (1, "<", DATA2)],
        # What was under way when the ERROR came.
        [(0, ">", RRQ), (0, "<", DATA1), (1, "-", error(0)), (1.1, "<", DATA1)],
        # A new request was made meanwhile.
        [(0, ">", RRQ), (0, "<", error(1)), (1, ">", RRQ), (1, "<", DATA1)],
        # Sent again after a second each.
        [(0, ">", RRQ), *[(float(at), "<", DATA1) for at in range(5)]],
        # After an ACK a window may come.
        [(0, ">", RRQ), (0, "<", DATA1), (0, "-", ACK1), *[(0.1, "<", DATA2)] * 8],
    ],
)
def test_what_breaks_none(events: Sequence[Event]) -> None:
    assert names(*events) == []


SECRET = Secret(b"/etc/key", b"correct horse battery staple")


def leaked(payload: bytes, public: bytes = b"") -> list[str]:
    trace = Trace([life_of((0, ">", RRQ), (0, "<", b"\0\3\0\1" + payload))])
    return [finding.name for finding in leaks.judge(trace, [SECRET], public)]


def test_octets_from_outside_of_the_root() -> None:
    assert leaked(b"xx correct horse batt") == ["leak/secret"]
    assert leaked(b"root:x:0:0:root:/root:/bin/sh\n") == ["leak/file"]
    assert leaked(b"; for 16-bit app support\r\n[fonts]") == ["leak/file"]
    assert leaked(b"127.0.0.1\tlocalhost\n") == ["leak/file"]
    assert leaked(b"Linux version 6.1.0") == ["leak/file"]
    assert leaked(b"correct horse") == []  # less than can be told from chance
    assert leaked(b"the root:x of all") == []
    assert leaked(b"root:x:0:0:", public=b"root:y:0:0:") == []
    assert leaked(SECRET.octets, public=SECRET.octets) == []


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        (b"/srv/tftp/f: no such file", True),
        (b"[Errno 2] No such file: '/home/x/root/f'", True),
        (b"C:\\TFTP\\f not found", True),
        (b"no file f", False),
        (b"neither/nor", False),
        (b"n/a", False),
    ],
)
def test_paths_in_errors(text: bytes, tells: bool) -> None:
    trace = Trace([life_of((0, ">", RRQ), (0, "<", error(1, text)))])
    found = [finding.name for finding in leaks.judge(trace, [], b"")]
    assert found == (["paths/path-in-error"] if tells else [])


def test_a_path_that_the_client_said_itself_is_no_news() -> None:
    asked = b"\0\1/boot/x/y\0octet\0"
    trace = Trace([life_of((0, ">", asked), (0, "<", error(1, b"no file /boot/x/y")))])
    assert leaks.judge(trace, [], b"") == []


def test_a_secret_that_cannot_be_recognised_is_refused(tmp_path: pytest.TempPathFactory) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "secret"
    for octets in (b"", b"short", bytes(100)):
        path.write_bytes(octets)
        with pytest.raises(ValueError, match="recognised"):
            load_secret(path)
    path.write_bytes(b"long enough, and not plain")
    assert load_secret(path).is_in(b"... long enough, and ...")
