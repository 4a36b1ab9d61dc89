"""Log lines: everything about a transfer on one line, and nothing of the network's can forge one."""

from __future__ import annotations

import json
import shlex
from typing import get_args

import attrs
import pytest
from hypothesis import given

from snowowl.observe.describe import Level
from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    Refusal,
    ReloadFailed,
    RequestReceived,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.observe.log import Format, LogObserver
from snowowl.observe.observers import Observers
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode
from tests.observe.samples import events

FORMATS: tuple[Format, ...] = get_args(Format)
FINISHED = TransferFinished(
    client="192.0.2.7:2001",
    direction=Direction.READ,
    filename=b"boot/kernel",
    mode=Mode.OCTET,
    octets=3 << 20,
    seconds=1.5,
    granted=((b"blksize", b"1428"), (b"windowsize", b"16")),
    retransmitted=3,
    outcome=Outcome(OutcomeKind.COMPLETED),
    detail="",
)


def lines(form: Format, *events: Event, level: Level = "debug") -> list[str]:
    told: list[str] = []
    log = LogObserver(told.append, form=form, level=level)
    for event in events:
        log(event)
    return told


def logfmt(line: str) -> dict[str, str]:
    """Read a line as a strict reader of logfmt does."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    pairs = [word.partition("=") for word in lexer]
    assert len({key for key, _, _ in pairs}) == len(pairs)
    return {key: value for key, _, value in pairs}


@pytest.mark.parametrize(
    ("asked", "stored", "told"),
    [
        (b"logs/core", b"logs/core.1", "logs/core.1"),
        (b"/logs/core", b"logs/core", None),
        (b"logs/core", b"logs/core", None),
        (b"logs/core", b"", None),
        (b"logs\\core", b"logs/core\n", "logs/core\\x0a"),
    ],
)
def test_a_name_that_an_upload_has_got_is_told_if_it_is_another(
    asked: bytes, stored: bytes, told: str | None
) -> None:
    event = attrs.evolve(FINISHED, direction=Direction.WRITE, filename=asked, stored=stored)
    assert json.loads(lines("json", event)[0]).get("stored") == told


def test_who_met_a_limit_is_told_with_the_others() -> None:
    outcome = Outcome(OutcomeKind.REFUSED, "server is busy, try again", 0)
    event = attrs.evolve(FINISHED, outcome=outcome, refusal=Refusal.UPLOADS)
    assert not lines("json", event, level="info")
    assert json.loads(lines("json", event)[0])["refusal"] == "uploads"


def test_one_line_says_it_all() -> None:
    (line,) = lines("json", FINISHED)
    entry = json.loads(line)
    assert entry["level"] == "info"
    assert entry.pop("timestamp").endswith("Z")
    expected = {
        "client": "192.0.2.7:2001",
        "file": "boot/kernel",
        "mode": "octet",
        "octets": 3 << 20,
        "seconds": 1.5,
        "rate": "2.0 MiB/s",
        "options": "blksize=1428 windowsize=16",
        "retransmitted": 3,
        "outcome": "completed",
    }
    assert {key: entry[key] for key in expected} == expected
    (line,) = lines("logfmt", FINISHED)
    read = logfmt(line)
    assert {key: read[key] for key in expected} == {key: str(v) for key, v in expected.items()}
    (line,) = lines("console", FINISHED)
    for words in ("RRQ from 192.0.2.7:2001 filename boot/kernel: completed", "3.0 MiB in 1.500 s"):
        assert words in line
    for words in ("rate=", "2.0 MiB/s", "blksize=1428 windowsize=16", "retransmitted=3"):
        assert words in line


def test_who_ended_it_and_why() -> None:
    for kind, code, message, words, level in (
        (OutcomeKind.ABORTED, 0, "user abort", "aborted by the client (user abort)", "info"),
        (OutcomeKind.REFUSED, 1, "file not found", "refused (file not found)", "info"),
        (OutcomeKind.REFUSED, 2, "access violation", "refused (access violation)", "warning"),
        (OutcomeKind.TIMED_OUT, None, "the peer fell silent", "failed (the peer fell", "warning"),
        (OutcomeKind.STOPPED, 0, "server is shutting down", "ended (server is", "info"),
        (OutcomeKind.PROBED, None, "", "probed", "info"),
        (OutcomeKind.UNCONFIRMED, None, "", "completed (last ACK missing)", "info"),
    ):
        event = attrs.evolve(FINISHED, outcome=Outcome(kind, message, code), detail="disk on fire")
        (line,) = lines("json", event)
        entry = json.loads(line)
        assert words in entry["event"]
        assert (entry["level"], entry["detail"]) == (level, "disk on fire")
        assert entry.get("code") == code


@given(events)
def test_nothing_forges_a_line(event: Event) -> None:
    (line,) = lines("json", event)
    assert line.isprintable()
    assert {"timestamp", "level", "event"} <= set(json.loads(line))
    (line,) = lines("logfmt", event)
    assert line.isprintable()
    read = logfmt(line)
    assert list(read)[:3] == ["timestamp", "level", "event"]
    (entry,) = lines("json", event)
    assert {key: str(value) for key, value in json.loads(entry).items() if key != "timestamp"} == {
        key: value.replace("\\n", "\n") if key == "traceback" else value
        for key, value in read.items()
        if key != "timestamp"
    } or "traceback" in read
    (text,) = lines("console", event)
    head, *rest = text.split("\n")
    assert head.isprintable()
    assert all(each.isprintable() and each.startswith("    ") for each in rest if each)
    assert rest == [] or isinstance(event, InternalError)


@pytest.mark.parametrize("form", FORMATS)
def test_lines_are_bounded(form: Format) -> None:
    huge = b"\xff" * 65000
    event = attrs.evolve(
        FINISHED,
        filename=huge,
        granted=((huge, huge),),
        outcome=Outcome(OutcomeKind.ABORTED, huge.decode("latin-1"), 0),
        detail=huge.decode("latin-1"),
    )
    assert all(len(line) < 6000 for line in lines(form, event))


@pytest.mark.parametrize("form", FORMATS)
def test_levels(form: Format) -> None:
    started = ServerStarted(("127.0.0.1:69", "[::1]:69"), "/srv")
    ready = lines(form, started, ServerStopped(), FINISHED, level="error")
    assert len(ready) == 2  # these at every level: scripts wait for them
    assert "listening on 127.0.0.1:69" in ready[0]
    assert "listening on [::1]:69" in ready[1]
    received = RequestReceived("192.0.2.7:1", Direction.WRITE, b"f", Mode.OCTET, ())
    assert lines(form, received, level="info") == []
    assert len(lines(form, received, level="debug")) == 1


def test_the_programs_own_lines() -> None:
    for form in FORMATS:
        told: list[str] = []
        log = LogObserver(told.append, form=form, level="error")
        log.complain("hidden at this level")
        log.give_up("cannot serve\n/srv")
        assert len(told) == 1
        assert told[0].isprintable()
        assert "7 log lines" in log.dropped(7)
        if form == "json":
            assert json.loads(told[0])["level"] == "error"
            assert json.loads(log.dropped(7))["level"] == "warning"
        if form == "console":
            assert told[0] == r"snowowl: cannot serve\n/srv"
    told = []
    LogObserver(told.append, form="json", level="info").complain("key: no effect")
    assert json.loads(told[0])["event"] == "key: no effect"


def test_a_subscriber_that_fails_harms_nobody() -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("disk on fire")

    observers = Observers([broken, told.append, broken])
    observers.emit(ServerStopped())
    assert told == [ServerStopped()]
    assert observers.failures == 2


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Outcome(OutcomeKind.COMPLETED), "info"),
        (Outcome(OutcomeKind.PROBED, "User aborted the transfer", 8), "info"),
        (Outcome(OutcomeKind.REFUSED, "file not found", 1), "info"),
        (Outcome(OutcomeKind.ABORTED, "closed", 0), "info"),  # GRUB has seen enough of the file
        (Outcome(OutcomeKind.ABORTED, "disk full", 3), "warning"),
        (Outcome(OutcomeKind.REFUSED, "input or output error", 0), "warning"),
        (Outcome(OutcomeKind.REFUSED, "access violation", 2), "warning"),
        (Outcome(OutcomeKind.TIMED_OUT, "the peer fell silent"), "warning"),
    ],
    ids=str,
)
def test_what_boot_loaders_do_in_the_course_of_things_is_no_warning(
    outcome: Outcome, level: str
) -> None:
    (line,) = lines("json", attrs.evolve(FINISHED, outcome=outcome))
    assert json.loads(line)["level"] == level


@pytest.mark.parametrize("form", FORMATS)
def test_each_line_of_a_worker_names_it(form: Format) -> None:
    told: list[str] = []
    log = LogObserver(told.append, form=form, level="debug", worker=7)
    for event in (FINISHED, ServerStarted(("127.0.0.1:69",), "/srv"), InternalError("x", "a\nb")):
        log(event)
    log.complain("odd")
    told.append(log.dropped(3))
    assert len(told) == 5
    for line in told:
        first = line.splitlines()[0]
        worker = json.loads(line)["worker"] if form == "json" else first.partition("worker=")[2][:1]
        assert str(worker) == "7"
    assert not any("worker=" in line for line in lines("logfmt", FINISHED, ServerStopped()))


def test_how_many_serve() -> None:
    (one,) = lines("json", ServerStarted(("127.0.0.1:69",), "/srv"))
    (several,) = lines("json", ServerStarted(("127.0.0.1:69",), "/srv", 4))
    assert "workers" not in json.loads(one)
    assert json.loads(several)["workers"] == 4


@pytest.mark.parametrize(
    ("event", "level", "message", "fields"),
    [
        (
            WorkerEnded(2, 4711, "killed by SIGKILL", 0.0),
            "error",
            "worker ended: killed by SIGKILL; the next one starts now",
            {"worker": 2, "pid": 4711},
        ),
        (
            WorkerEnded(2, 0, "no\nmemory", 0.4),
            "error",
            r"worker ended: no\nmemory; the next one starts in 0.4 s",
            {"worker": 2},
        ),
        (WorkerStarted(1, 4712, True), "info", "worker started", {"worker": 1, "pid": 4712}),
        (WorkerStarted(1, 4712, False), "debug", "worker started", {"worker": 1, "pid": 4712}),
        (ReloadFailed("x.toml:3: no\n"), "error", r"not reloaded: x.toml:3: no\n", {}),
        (
            ServerReloaded("/srv", ()),
            "info",
            "reloaded: the configuration has not changed",
            {"root": "/srv"},
        ),
        (
            ServerReloaded("/srv", (), ('server.root: "/srv", was "."', "a.b: 1, was 2")),
            "info",
            "reloaded: new requests are served as now configured",
            {"root": "/srv", "changed": 'server.root: "/srv", was "."; a.b: 1, was 2'},
        ),
        (
            ServerReloaded("/srv", ("server.listen", "server.workers")),
            "warning",
            (
                "reloaded, all but server.listen and server.workers: for a new value the server"
                " must be restarted"
            ),
            {"root": "/srv"},
        ),
    ],
)
def test_what_a_supervisor_tells(
    event: Event, level: str, message: str, fields: dict[str, object]
) -> None:
    (line,) = lines("json", event)
    entry = json.loads(line)
    del entry["timestamp"]
    assert entry == {"level": level, "event": message, **fields}


def test_form_and_level_may_change() -> None:
    told: list[str] = []
    log = LogObserver(told.append, form="console", level="error")
    log(FINISHED)
    log.set_form("json", "info")
    log(FINISHED)
    (line,) = told
    assert json.loads(line)["level"] == "info"
