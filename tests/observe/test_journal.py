"""Log entries for the systemd journal: their fields, their IDs, and nothing that can forge one."""

from __future__ import annotations

import re
from typing import get_args

from hypothesis import given

from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    ServerStarted,
    ServerStopped,
    TransferFinished,
)
from snowowl.observe.journal import MESSAGE_IDS, Entry
from snowowl.observe.log import LogObserver
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode
from tests.observe.samples import events


class Fake:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.dropped = 0
        self.full = False

    def send(self, fields: Entry) -> bool:
        if self.full:
            self.dropped += 1
            return False
        self.entries.append(fields)
        return True


def nowhere(line: str) -> None:
    raise AssertionError(line)


def observer(journal: Fake, worker: int | None = None) -> LogObserver:
    return LogObserver(nowhere, form="journal", level="debug", journal=journal, worker=worker)


FINISHED = TransferFinished(
    "192.0.2.7:2001",
    Direction.READ,
    b"boot/a b",
    Mode.OCTET,
    5,
    0.25,
    (),
    0,
    Outcome(OutcomeKind.TIMED_OUT, "the peer fell silent"),
    number=3,
)


def test_an_entry() -> None:
    journal = Fake()
    observer(journal, worker=2)(FINISHED)
    (entry,) = journal.entries
    fields = dict(entry)
    assert len(fields) == len(entry)
    assert fields["MESSAGE"].startswith("RRQ from 192.0.2.7:2001 filename boot/a b: failed")
    expected = {
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "snowowl",
        "MESSAGE_ID": MESSAGE_IDS["TransferFinished"],
        "SNOWOWL_CLIENT": "192.0.2.7:2001",
        "SNOWOWL_FILE": "boot/a b",
        "SNOWOWL_OUTCOME": "timed out",
        "SNOWOWL_WORKER": "2",
    }
    assert {key: fields[key] for key in expected} == expected


@given(events)
def test_nothing_forges_an_entry(event: Event) -> None:
    journal = Fake()
    observer(journal)(event)
    (entry,) = journal.entries
    assert len({name for name, _ in entry}) == len(entry)
    assert dict(entry)["MESSAGE_ID"] == MESSAGE_IDS[type(event).__name__]
    for name, value in entry:
        assert re.fullmatch(r"[A-Z][A-Z_]*", name)
        assert len(name) <= 64
        if name == "SNOWOWL_TRACEBACK":
            assert isinstance(event, InternalError)
            assert all(line.isprintable() for line in value.split("\n"))
        else:
            assert value.isprintable()


def test_each_kind_has_an_id_of_its_own() -> None:
    assert set(MESSAGE_IDS) == {kind.__name__ for kind in get_args(Event)}
    assert len(set(MESSAGE_IDS.values())) == len(MESSAGE_IDS)
    assert all(re.fullmatch(r"[0-9a-f]{32}", text) for text in MESSAGE_IDS.values())


def test_the_ids_do_not_change() -> None:
    """People search for them: these two stand for all."""
    assert MESSAGE_IDS["ServerStarted"] == "52382668e18848d68ccf227f2b02eefb"
    assert MESSAGE_IDS["TransferFinished"] == "6760b41bdab345c3a3a873c5e70a3d46"


def test_what_a_full_journal_lost_is_told() -> None:
    journal = Fake()
    log = observer(journal)
    journal.full = True
    for _ in range(3):
        log(ServerStopped())
    journal.full = False
    log(ServerStarted(("127.0.0.1:69",), "/srv"))
    told = [dict(entry)["MESSAGE"] for entry in journal.entries]
    assert told == [
        "listening on 127.0.0.1:69",
        "3 log lines were lost: the journal was full or away",
    ]
    assert journal.dropped == 0


def test_without_a_journal_it_is_the_console() -> None:
    lines: list[str] = []
    log = LogObserver(lines.append, form="journal", level="info")
    log(ServerStopped())
    assert len(lines) == 1
    assert "stopped" in lines[0]


def test_the_form_may_change_to_and_fro() -> None:
    lines: list[str] = []
    journal = Fake()
    log = LogObserver(lines.append, form="json", level="info", journal=journal)
    log(ServerStopped())
    log.set_form("journal", "info")
    log(ServerStopped())
    log.complain("odd\n")
    log.give_up("no\nway")
    log.set_form("console", "info")
    log(ServerStopped())
    assert (len(lines), len(journal.entries)) == (2, 3)
    assert dict(journal.entries[2])["MESSAGE"] == r"no\nway"
