"""One event of each kind at least, with hostile contents where the network can say something."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from snowowl.observe.events import (
    AccessNarrowed,
    Confined,
    DatagramsDropped,
    DatapathChosen,
    DatapathLowered,
    Direction,
    Event,
    InternalError,
    KeyWithoutEffect,
    LinesLost,
    MetricsOffered,
    PrivilegesDropped,
    Refusal,
    ReloadFailed,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
    RolloverExpected,
    SafetyMissing,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode

CLIENT = "192.0.2.7:2001"

hostile = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b"\n",
                b"\r",
                b"\x1b[31m",
                b'"',
                b"\\",
                b"'",
                b" ",
                b"=",
                b"\xff",
                b"\xc2\x9b",
                b"\0",
                b"\x7f",
                b"\xe2\x80\xa8",
                b"\xe2\x80\xae",
                b"\xc3\xa9",
                b"level=error",
                b"A" * 600,
            ]
        ),
        max_size=8,
    ).map(b"".join),
)
hostile_text = hostile.map(lambda octets: octets.decode("latin-1")) | hostile.map(
    lambda octets: octets.decode("utf-8", "surrogateescape")
)
_client = st.just(CLIENT)
_count = st.integers(1, 9)
_direction = st.sampled_from(Direction)
_mode = st.sampled_from(Mode)
_number = st.integers(1, 1 << 40)
_options = st.lists(st.tuples(hostile, hostile), max_size=3).map(tuple)
_texts = st.lists(hostile_text, max_size=3).map(tuple)

KINDS: dict[type[Event], st.SearchStrategy[Event]] = {
    ServerStarted: st.builds(
        ServerStarted, st.just(("192.0.2.1:69",)), hostile_text, st.integers(1, 4)
    ),
    PrivilegesDropped: st.builds(PrivilegesDropped, hostile_text, hostile_text),
    Confined: st.builds(Confined, st.integers(1, 9), _texts),
    SafetyMissing: st.builds(SafetyMissing, hostile_text),
    AccessNarrowed: st.builds(AccessNarrowed, st.just(("198.51.100.1:69",))),
    MetricsOffered: st.builds(MetricsOffered, hostile_text),
    DatapathChosen: st.builds(DatapathChosen, st.just("batched"), st.just(("gso", "gro"))),
    KeyWithoutEffect: st.builds(KeyWithoutEffect, hostile_text),
    DatapathLowered: st.builds(DatapathLowered, st.just("UDP_SEGMENT")),
    DatagramsDropped: st.builds(DatagramsDropped, st.just("192.0.2.1:69"), _count),
    ServerDraining: st.builds(ServerDraining, st.integers(0, 9), st.floats(0, 60)),
    ServerStopped: st.just(ServerStopped()),
    ServerReloaded: st.builds(
        ServerReloaded, hostile_text, st.sampled_from([(), ("server.listen",)]), _texts
    ),
    ReloadFailed: st.builds(ReloadFailed, hostile_text),
    WorkerStarted: st.builds(WorkerStarted, _count, _count, st.booleans()),
    WorkerEnded: st.builds(WorkerEnded, _count, st.integers(0, 9), hostile_text, st.floats(0, 9)),
    RequestReceived: st.builds(
        RequestReceived, _client, _direction, hostile, _mode, _options, _number
    ),
    RequestMalformed: st.builds(RequestMalformed, _client, hostile_text, st.booleans()),
    RequestDoubled: st.builds(RequestDoubled, _client),
    RequestsRefused: st.builds(RequestsRefused, st.sampled_from(Refusal), _count, _client),
    TraversalAttempted: st.builds(TraversalAttempted, _client, _direction, hostile),
    TransferStarted: st.builds(
        TransferStarted,
        _number,
        _client,
        _direction,
        hostile,
        _mode,
        st.none() | st.integers(0, 1 << 62),
        _options,
    ),
    RolloverExpected: st.builds(
        RolloverExpected, _client, hostile, st.just(70000), st.just(512), st.just(0)
    ),
    TransferFinished: st.builds(
        TransferFinished,
        client=_client,
        direction=_direction,
        filename=hostile,
        mode=_mode,
        octets=st.integers(0, 1 << 62),
        seconds=st.floats(0, 1e6),
        granted=_options,
        retransmitted=st.integers(0, 1 << 40),
        outcome=st.builds(
            Outcome, st.sampled_from(OutcomeKind), hostile_text, st.none() | st.integers(0, 65535)
        ),
        detail=hostile_text,
        number=_number,
        started=st.booleans(),
        stored=hostile,
    ),
    LinesLost: st.builds(LinesLost, st.just("the audit stream"), _count, hostile_text),
    InternalError: st.builds(InternalError, st.just("exchange"), hostile_text),
}
assert set(KINDS) == set(get_args(Event)), "a kind of event is missing here"

events: st.SearchStrategy[Event] = st.one_of(list(KINDS.values()))
