"""The audit stream: each line as the schema has it, each name exact, floods in one line a minute."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings

from snowowl.observe import audit
from snowowl.observe.audit import AuditObserver, name_members, records
from snowowl.observe.events import (
    Direction,
    Event,
    Refusal,
    RequestMalformed,
    RequestsRefused,
    ServerStopped,
    TransferFinished,
)
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode
from tests.observe.samples import CLIENT, KINDS, events, hostile

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "examples/deploy/audit-schema.json").read_text(encoding="utf-8")
)
REQUIRED = {
    rule["if"]["properties"]["event"]["const"]: rule["then"]["required"] for rule in SCHEMA["allOf"]
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}
NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
Line = dict[str, object]


def check(line: Line) -> None:
    """Hold a line against the schema; unlike a reader, allow no member that it does not name."""
    for member in (*SCHEMA["required"], *REQUIRED.get(str(line["event"]), ())):
        assert member in line, member
    for member, value in line.items():
        rule = SCHEMA["properties"][member]
        if "const" in rule:
            assert value == rule["const"]
        if "enum" in rule:
            assert value in rule["enum"]
        if "type" in rule:
            assert isinstance(value, TYPES[rule["type"]])
        if isinstance(value, int) and "minimum" in rule:
            assert value >= rule["minimum"]
        if "pattern" in rule:
            assert re.search(rule["pattern"], str(value))


def lines(*told: Event, flush: bool = True) -> list[Line]:
    written: list[str] = []
    observer = AuditObserver(written.append, worker=2, now=lambda: NOON)
    for event in told:
        observer(event)
    if flush:
        observer.flush()
    assert all(line.isascii() and line.isprintable() for line in written)
    return [json.loads(line) for line in written]


@given(events)
def test_each_line_is_as_the_schema_has_it(event: Event) -> None:
    for line in lines(event):
        check(line)
        assert (line["v"], line["time"], line["worker"]) == (1, "2030-01-02T12:00:00.000Z", 2)


def test_the_schema_and_the_documentation_name_the_same() -> None:
    documented = set(
        re.findall(r"`([a-z-]+)`", str(audit.__doc__).partition("| event | when |")[2])
    )
    for name in SCHEMA["properties"]["event"]["enum"]:
        assert name in documented
    members = str(audit.__doc__).partition("| event | when |")[0]
    shared = {"v", "time", "event", "process", "worker", *REQUIRED["transfer-failed"]}
    assert all(f"`{member}`" in members for member in shared)


def test_every_event_of_the_schema_can_come() -> None:
    seen: set[str] = {"lines-lost"}  # of the writer; see below

    def note(event: Event) -> None:
        seen.update(name for name, _ in records(event))

    for strategy in KINDS.values():
        settings(max_examples=3)(given(strategy)(note))()
    for refusal in Refusal:
        note(RequestsRefused(refusal, 5, CLIENT))
    for started in (True, False):
        for outcome in (REFUSED, COMPLETED):
            note(attrs.evolve(FINISHED, started=started, outcome=outcome))
    assert seen == set(SCHEMA["properties"]["event"]["enum"])
    line = json.loads(AuditObserver(lambda _: None).lost(3))
    check(line)
    assert line["count"] == 3


@given(hostile)
def test_a_name_can_be_had_back(name: bytes) -> None:
    members = json.loads(json.dumps(name_members("file", name)))
    if "file_hex" in members:
        assert bytes.fromhex(members["file_hex"]) == name
        assert members["file"].isascii()
    else:
        assert members["file"].encode() == name
    assert members["file"].isprintable()


def test_a_name_that_no_file_can_have_is_cut() -> None:
    members = name_members("file", b"x" * 65000)
    assert len(str(members["file_hex"])) == 2 * 4096
    assert len(str(members["file"])) < 1000


COMPLETED = Outcome(OutcomeKind.COMPLETED)
FINISHED = TransferFinished(
    CLIENT,
    Direction.WRITE,
    b"dump",
    Mode.OCTET,
    7,
    0.5,
    (),
    0,
    COMPLETED,
    number=9,
    started=True,
    stored=b"dump.1",
)
REFUSED = Outcome(OutcomeKind.REFUSED, "disk full", 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ["transfer-completed", "upload-stored"]),
        ({"direction": Direction.READ}, ["transfer-completed"]),
        ({"outcome": Outcome(OutcomeKind.TIMED_OUT)}, ["transfer-failed"]),
        ({"outcome": REFUSED}, ["transfer-failed", "upload-refused"]),
        ({"outcome": REFUSED, "started": False}, ["denied", "upload-refused"]),
        ({"outcome": REFUSED, "started": False, "direction": Direction.READ}, ["denied"]),
        ({"outcome": Outcome(OutcomeKind.STOPPED), "started": False}, ["denied"]),
    ],
)
def test_each_end_is_told_once(changes: dict[str, object], told: list[str]) -> None:
    found = lines(attrs.evolve(FINISHED, **changes))  # type: ignore[arg-type]
    assert [line["event"] for line in found] == told
    assert {line["id"] for line in found} == {9}
    if "upload-stored" in told:
        assert found[1]["stored"] == "dump.1"


def test_a_refused_network_is_a_denial_and_the_rest_are_limits() -> None:
    found = lines(*(RequestsRefused(refusal, 5, CLIENT) for refusal in Refusal))
    assert [line.get("limit", line.get("reason")) for line in found] == [
        refusal.value for refusal in Refusal
    ]
    assert [line["event"] for line in found] == ["denied"] + ["limit-hit"] * (len(Refusal) - 1)


def test_a_flood_is_one_line_a_minute() -> None:
    written: list[Line] = []
    clock = [NOON]
    observer = AuditObserver(lambda line: written.append(json.loads(line)), now=lambda: clock[0])
    for second in range(150):
        clock[0] = NOON + timedelta(seconds=second)
        for _ in range(100):
            observer(RequestMalformed(CLIENT, "noise", answered=False))
    observer(ServerStopped())
    malformed = [line["count"] for line in written if line["event"] == "requests-malformed"]
    assert len(malformed) == 4
    assert malformed[0] == 1
    assert sum(map(int, map(str, malformed))) == 15000
    assert written[-1]["event"] == "server-stopped"


def test_what_was_not_told_comes_when_its_minute_is_over() -> None:
    written: list[Line] = []
    clock = [NOON]
    observer = AuditObserver(lambda line: written.append(json.loads(line)), now=lambda: clock[0])
    for _ in range(3):
        observer(RequestMalformed(CLIENT, "noise", answered=False))
    observer.flush(due_only=True)
    assert [line["count"] for line in written] == [1]
    clock[0] += timedelta(seconds=61)
    observer.flush(due_only=True)
    observer.flush()
    assert [line["count"] for line in written] == [1, 2]


def test_each_kind_is_thought_of() -> None:
    """Silence about an event is meant: a new kind has to be put here or there."""
    silent = {
        "PrivilegesDropped",
        "Confined",
        "SafetyMissing",
        "AccessNarrowed",
        "MetricsOffered",
        "DatapathChosen",
        "KeyWithoutEffect",
        "DatapathLowered",
        "DatagramsDropped",
        "RequestDoubled",
        "RolloverExpected",
        "LinesLost",
    }
    told: set[str] = set()

    def note(event: Event) -> None:
        if records(event):
            told.add(type(event).__name__)

    for strategy in KINDS.values():
        settings(max_examples=3)(given(strategy)(note))()
    assert told == {kind.__name__ for kind in KINDS} - silent
