from __future__ import annotations

import pytest

from snowowl.protocol.events import (
    ContentCommitted,
    ContentFailed,
    ContentPaused,
    ContentReady,
    DatagramsReceived,
    Event,
    PeerUnreachable,
    RequestRepeated,
    Stopped,
    TimerExpired,
)
from snowowl.protocol.outcome import OutcomeKind

EVENTS: list[Event] = [
    DatagramsReceived(b"", 4, 0.0),
    TimerExpired(0.0),
    RequestRepeated(0.0),
    ContentPaused(),
    ContentReady(0.0),
    ContentCommitted(0.0),
    ContentFailed(1, "x"),
    PeerUnreachable(0.0),
    Stopped(OutcomeKind.STOPPED, "x"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_are_small_and_named_in_the_past_tense(event: Event) -> None:
    assert not hasattr(event, "__dict__")
    assert type(event).__name__.endswith(("ed", "Ready", "Unreachable"))


def test_a_repr_can_be_pasted_into_a_test() -> None:
    for event in (DatagramsReceived(b"\0\4\0\1", 4, 0.5), ContentPaused(7), ContentFailed(1, "x")):
        assert eval(repr(event)) == event
