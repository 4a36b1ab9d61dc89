"""Events in words: each kind has a level, a message of one line, and fields that can be printed."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given

from snowowl.observe.describe import describe, is_usual
from snowowl.observe.events import (
    AccessNarrowed,
    Confined,
    Event,
    PrivilegesDropped,
    Refusal,
    RequestsRefused,
    SafetyMissing,
    ServerReloaded,
    ServerStarted,
    WorkerEnded,
)
from snowowl.protocol.outcome import Outcome, OutcomeKind
from tests.observe.samples import events
from tests.observe.test_log import FINISHED


@given(events)
def test_each_is_one_line_of_printable_text(event: Event) -> None:
    if isinstance(event, ServerStarted):  # the log has a line for each of its addresses
        return
    level, message, fields = describe(event)
    assert level in ("debug", "info", "warning", "error")
    assert message.isprintable()
    for key, value in fields.items():
        assert key.isidentifier()
        assert all(line.isprintable() for line in str(value).split("\n"))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (PrivilegesDropped("nobody", "nogroup"), "became user nobody, group nogroup"),
        (Confined(7, ("/srv/tftp", "/etc/snowowl")), "to /srv/tftp, /etc/snowowl"),
        (SafetyMissing("no Landlock here"), "no Landlock here"),
        (AccessNarrowed(("192.0.2.1", "192.0.2.2")), "192.0.2.1 and 192.0.2.2: public"),
        (RequestsRefused(Refusal.UPLOADS, 7, "10.0.0.1:1"), "limits.uploads_max"),
        (ServerReloaded("/srv", ("server.user",)), "all but server.user"),
        (WorkerEnded(2, 7, "killed", 0.5), "the next one starts in 0.5 s"),
    ],
)
def test_words(event: Event, words: str) -> None:
    assert not isinstance(event, ServerStarted)
    assert words in describe(event)[1]


@pytest.mark.parametrize("refusal", Refusal)
def test_every_reason_names_what_to_look_at(refusal: Refusal) -> None:
    level, message, _ = describe(RequestsRefused(refusal, 1, "10.0.0.1:1"))
    assert level == "warning"
    keys = ("limits.", "access.", "write.")
    assert any(key in message for key in keys) or refusal is Refusal.QUEUE


def test_who_gave_way_or_met_a_limit_is_told_with_the_others() -> None:
    gave_way = attrs.evolve(FINISHED, outcome=Outcome(OutcomeKind.GAVE_WAY, ""))
    assert describe(gave_way)[0] == "debug"
    assert describe(attrs.evolve(FINISHED, refusal=Refusal.UPLOADS))[0] == "debug"


def test_what_boot_loaders_do_is_usual() -> None:
    assert is_usual(Outcome(OutcomeKind.REFUSED, "file not found", 1))
    assert is_usual(Outcome(OutcomeKind.PROBED, ""))
    assert not is_usual(Outcome(OutcomeKind.TIMED_OUT, ""))
