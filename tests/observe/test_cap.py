"""Lines that strangers cause are bounded, and none is left out untold."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.observe.cap import LINES_AT_ONCE, LINES_PER_SECOND, TELL_SECONDS
from snowowl.observe.events import (
    Event,
    InternalError,
    RequestMalformed,
    ServerStopped,
    TransferFinished,
)
from snowowl.observe.log import LogObserver
from snowowl.protocol.outcome import Outcome, OutcomeKind
from tests.observe.test_log import FINISHED

FAILED = attrs.evolve(FINISHED, octets=0, outcome=Outcome(OutcomeKind.TIMED_OUT, "silent"))
BUG = InternalError("request", "Traceback...")
MALFORMED = RequestMalformed("192.0.2.7:2001", "noise", answered=True)


class Log:
    """A log whose time is told."""

    def __init__(self) -> None:
        self.now = 5.0
        self.lines: list[str] = []
        self.observe = LogObserver(
            self.lines.append, form="json", level="info", clock=lambda: self.now
        )

    def left_out(self) -> list[int]:
        entries = map(json.loads, self.lines)
        return [entry["count"] for entry in entries if "left out" in entry["event"]]


@pytest.mark.parametrize("event", [FAILED, BUG], ids=["failed", "bug"])
def test_a_flood_of_requests_that_come_to_nothing_fills_no_disk(event: Event) -> None:
    log = Log()
    for _ in range(600):  # ten minutes of 100 requests a second
        for _ in range(100):
            log.observe(event)
        log.now += 1
    told = log.left_out()
    assert len(log.lines) <= LINES_AT_ONCE + 600 * LINES_PER_SECOND + len(told) + 1
    assert 600 // TELL_SECONDS - 2 <= len(told) <= 600 // TELL_SECONDS  # once a minute
    log.observe(ServerStopped())
    assert len(log.lines) - 1 - len(log.left_out()) + sum(log.left_out()) == 60_000


def test_what_a_client_got_is_always_told() -> None:
    log = Log()
    for _ in range(int(LINES_AT_ONCE) + 10):
        log.observe(FAILED)
    log.observe(FINISHED)
    assert "completed" in log.lines[-1]
    log.observe(MALFORMED)  # another kind has a budget of its own
    assert "noise" in log.lines[-1]


def test_silence_tells_nothing_and_the_next_line_does() -> None:
    log = Log()
    for _ in range(int(LINES_AT_ONCE) + 10):
        log.observe(FAILED)
    assert log.left_out() == []
    log.now += TELL_SECONDS
    log.observe(FINISHED)
    assert log.left_out() == [10]


@given(st.lists(st.tuples(st.sampled_from([FAILED, FINISHED, MALFORMED]), st.floats(0, 100))))
def test_nothing_is_left_out_untold(events: list[tuple[TransferFinished, float]]) -> None:
    log = Log()
    for event, pause in events:
        log.observe(event)
        log.now += pause
    log.observe(ServerStopped())
    assert len(log.lines) - 1 - len(log.left_out()) + sum(log.left_out()) == len(events)
