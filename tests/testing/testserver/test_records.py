"""What is kept of a server's events, and how it is waited for."""

from __future__ import annotations

import threading

import pytest

from snowowl.content.names import NameRules
from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    RequestMalformed,
    RequestReceived,
    ServerStarted,
    ServerStopped,
    TransferFinished,
)
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.testing.testserver import ServerFailedError
from snowowl.testing.testserver.records import Records, Stop
from snowowl.wire.packets import Mode, Options

CLIENT = "192.0.2.7:1042"
BLKSIZE: Options = ((b"blksize", b"1468"),)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(clock: Clock) -> Records:
    records = Records(NameRules(), clock)
    records(ServerStarted(("127.0.0.1:69",), "/srv"))
    return records


def asked(name: bytes, client: str = CLIENT, options: Options = BLKSIZE) -> RequestReceived:
    return RequestReceived(client, Direction.READ, name, Mode.OCTET, options)


def ended(
    name: bytes,
    kind: OutcomeKind = OutcomeKind.COMPLETED,
    *,
    client: str = CLIENT,
    seconds: float = 0.0,
    octets: int = 0,
) -> TransferFinished:
    outcome = Outcome(kind, "", None)
    return TransferFinished(
        client, Direction.READ, name, Mode.OCTET, octets, seconds, BLKSIZE, 0, outcome
    )


def test_a_request_is_recorded_with_what_comes_of_it(records: Records, clock: Clock) -> None:
    clock.now = 1.5
    records(asked(b"/boot\\uImage\xff"))
    (running,) = records.transfers()
    assert (running.name, running.filename) == ("boot/uImage", b"/boot\\uImage\xff")
    assert (running.at, running.asked, running.got) == (1.5, {"blksize": "1468"}, {})
    assert not running.ended
    assert "is running" in str(running)
    records(ended(b"/boot\\uImage\xff", octets=2048))
    (transfer,) = records.transfers()
    assert transfer.complete
    assert (transfer.octets, transfer.got) == (2048, {"blksize": "1468"})
    assert str(transfer).endswith(
        "RRQ from 192.0.2.7:1042 boot/uImage [blksize=1468]: completed, 2.0 KiB in 0.000 s"
    )
    assert not running.ended, "a picture does not change"


@pytest.mark.parametrize("name", [b"../secret", b"", b"a/../../x"])
def test_a_name_that_cannot_be_one_is_kept_as_it_was_sent(records: Records, name: bytes) -> None:
    records(asked(name))
    assert records.transfers()[0].name == name.decode()


@pytest.mark.parametrize(
    ("kind", "complete"),
    [
        (OutcomeKind.COMPLETED, True),
        (OutcomeKind.UNCONFIRMED, True),
        (OutcomeKind.PROBED, False),
        (OutcomeKind.ABORTED, False),
        (OutcomeKind.REFUSED, False),
        (OutcomeKind.TIMED_OUT, False),
    ],
)
def test_complete_is_what_a_board_can_boot_from(
    records: Records, kind: OutcomeKind, *, complete: bool
) -> None:
    records(asked(b"x"))
    records(ended(b"x", kind))
    (transfer,) = records.transfers()
    assert transfer.ended
    assert transfer.complete is complete


def test_an_end_belongs_to_the_request_of_its_time(records: Records, clock: Clock) -> None:
    """A board that was reset asks again from the same port: the old transfer ends, then the new."""
    records(asked(b"x"))
    clock.now = 5.0
    records(asked(b"x"))
    records(ended(b"x", OutcomeKind.SUPERSEDED, seconds=5.0))
    clock.now = 6.0
    records(ended(b"x", seconds=1.0))
    kinds = [each.outcome and each.outcome.kind for each in records.transfers()]
    assert kinds == [OutcomeKind.SUPERSEDED, OutcomeKind.COMPLETED]


def test_the_ends_of_what_was_forgotten_are_forgotten(records: Records) -> None:
    records(asked(b"old"))
    records.forget()
    records(ended(b"old"))
    records(asked(b"new"))
    assert [(each.name, each.ended) for each in records.transfers()] == [("new", False)]


def test_a_wait_sees_what_another_thread_brings() -> None:
    real = Records(NameRules())
    threading.Timer(0.01, real, [asked(b"y")]).start()
    found = real.wait(lambda: next(iter(real.transfers()), None), 60.0, Stop())
    assert found is not None
    assert found.name == "y"


def test_a_wait_ends_in_time_or_when_it_is_stopped(records: Records) -> None:
    assert records.wait(lambda: None, 0.0, Stop()) is None
    real, stop = Records(NameRules()), Stop()
    threading.Timer(0.01, real.stop, [stop]).start()
    assert real.wait(lambda: None, 60.0, stop) is None
    real.stop(stop)
    assert not real.wait_quiet(60.0, 60.0, stop)


@pytest.mark.parametrize("cause", [OSError("no more"), InternalError("transfer", "Traceback ...")])
def test_a_server_that_fails_ends_every_wait(cause: OSError | InternalError) -> None:
    real = Records(NameRules())
    if isinstance(cause, InternalError):
        threading.Timer(0.01, real, [cause]).start()
    else:
        threading.Timer(0.01, real.fail, [cause]).start()
    with pytest.raises(ServerFailedError, match=r"no more|Traceback"):
        real.wait(lambda: None, 60.0, Stop())
    with pytest.raises(ServerFailedError):
        real.check()
    with pytest.raises(ServerFailedError):
        real.wait_quiet(0.0, 60.0, Stop())


def test_a_bug_in_the_records_fails_the_test_and_not_the_server(records: Records) -> None:
    records(asked(b"x"))
    records._transfers.clear()
    records(ended(b"x"))
    with pytest.raises(ServerFailedError, match="KeyError"):
        records.check()


def test_it_is_quiet_when_nothing_runs_and_nothing_came(records: Records, clock: Clock) -> None:
    clock.now = 9.0
    records(asked(b"x"))
    clock.now = 99.0
    assert not records.wait_quiet(1.0, 0.0, Stop()), "a transfer runs"
    records(ended(b"x"))
    assert not records.wait_quiet(1.0, 0.0, Stop()), "it has just ended"
    clock.now = 100.0
    assert records.wait_quiet(1.0, 0.0, Stop())


def test_quiet_comes_by_itself() -> None:
    assert Records(NameRules()).wait_quiet(0.01, 60.0, Stop())


def test_the_log_has_a_line_for_each_event_since_a_time(records: Records, clock: Clock) -> None:
    clock.now = 1.0
    events: list[Event] = [
        asked(b"x\nforged"),
        RequestMalformed(CLIENT, "unknown opcode 9", answered=True),
        ended(b"x\nforged", OutcomeKind.REFUSED),
        ServerStopped(),
    ]
    for event in events:
        records(event)
    lines = records.log().splitlines()
    assert len(lines) == 5
    assert lines[0] == "   0.000 s  serving /srv at 127.0.0.1:69"
    assert lines[2] == "   1.000 s  not a request from 192.0.2.7:1042: unknown opcode 9"
    assert records.log(since=0.5).splitlines() == lines[1:]
