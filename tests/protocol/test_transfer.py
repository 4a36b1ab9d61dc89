"""What all four transfers share: the table, the timer, the ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from snowowl.protocol.actions import Commit
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
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.retransmit import SENDS_UNANSWERED_MAX
from snowowl.protocol.transfer import (
    TERMINAL,
    TRANSITIONS,
    State,
    Transfer,
    Trigger,
    is_unknown_tid,
)
from snowowl.testing.playbook import (
    Playbook,
    ack,
    blocks,
    check_deadline,
    data,
    error,
    oack,
    stored,
)
from tests.protocol.stories import (
    committing,
    dallying,
    feed,
    getting,
    putting,
    reading,
    writing,
)

COMMIT = Commit()
STOPPED = Stopped(OutcomeKind.STOPPED, "shutting down", 0)


def started(transfer: Transfer) -> Transfer:
    transfer.start(0.0)
    return transfer


def received(transfer: Transfer, datagram: bytes) -> None:
    feed(transfer, datagram, now=0.1)


def expired(transfer: Transfer) -> None:
    transfer.handle(TimerExpired(transfer.deadline))


def gone_silent(transfer: Transfer) -> None:
    while not transfer.finished:
        expired(transfer)


ROWS: dict[tuple[State, Trigger], tuple[Callable[[], Transfer], Callable[[Transfer], object]]] = {
    (State.NEGOTIATING, Trigger.OPENED): (lambda: reading(9), started),
    (State.NEGOTIATING, Trigger.ANSWERED): (
        lambda: started(reading(9, tsize=0)),
        lambda transfer: received(transfer, ack(0)),
    ),
    (State.NEGOTIATING, Trigger.PROBED): (
        lambda: started(reading(9, tsize=0)),
        lambda transfer: received(transfer, error(0)),
    ),
    (State.NEGOTIATING, Trigger.BROKEN): (
        lambda: started(getting()),
        lambda transfer: received(transfer, error(1)),
    ),
    (State.TRANSFERRING, Trigger.LAST_ACKED): (
        lambda: started(reading(9)),
        lambda transfer: received(transfer, ack(1)),
    ),
    (State.TRANSFERRING, Trigger.UNCONFIRMED): (lambda: started(reading(9)), gone_silent),
    (State.TRANSFERRING, Trigger.LAST_RECEIVED): (
        lambda: started(writing()),
        lambda transfer: received(transfer, data(1, b"all")),
    ),
    (State.TRANSFERRING, Trigger.BROKEN): (lambda: started(writing()), gone_silent),
    (State.COMMITTING, Trigger.COMMITTED): (
        committing,
        lambda transfer: transfer.handle(ContentCommitted(1.0)),
    ),
    (State.COMMITTING, Trigger.BROKEN): (
        committing,
        lambda transfer: transfer.handle(ContentFailed(3, "disk full")),
    ),
    (State.DALLYING, Trigger.DALLIED): (dallying, expired),
}


@pytest.mark.parametrize("row", TRANSITIONS, ids=lambda row: f"{row[0].name}-{row[1].name}")
def test_every_row_of_the_table_happens(row: tuple[State, Trigger]) -> None:
    make, trigger = ROWS[row]
    transfer = make()
    assert transfer.state is row[0]
    trigger(transfer)
    assert transfer.state is TRANSITIONS[row]
    check_deadline(transfer, 0.0)


def test_the_table_is_whole() -> None:
    reached = {State.NEGOTIATING, *TRANSITIONS.values()}
    assert reached == set(State)
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)
    assert not [state for state, _ in TRANSITIONS if state in TERMINAL]
    for state in set(State) - set(TERMINAL):  # every state can be left for good
        ends, seen = [state], {state}
        while ends:
            here = ends.pop()
            after = {to for (origin, _), to in TRANSITIONS.items() if origin is here}
            ends += after - seen
            seen |= after
        assert seen & set(TERMINAL)


@pytest.mark.parametrize(
    "event",
    [
        DatagramsReceived(ack(1), 4, 9.0),
        TimerExpired(9.0),
        RequestRepeated(9.0),
        ContentPaused(1),
        ContentReady(9.0),
        ContentCommitted(9.0),
        ContentFailed(1, "x"),
        PeerUnreachable(9.0),
        STOPPED,
    ],
    ids=lambda event: type(event).__name__,
)
def test_after_the_end_nothing_does_anything(event: Event) -> None:
    for transfer in (started(reading(9)), started(writing())):
        transfer.handle(STOPPED)
        outcome = transfer.outcome
        assert not transfer.handle(event)
        assert transfer.outcome is outcome
        assert transfer.finished
        assert transfer.deadline == math.inf


# The first packet.


@pytest.mark.rfc("1350 4")
@pytest.mark.parametrize(
    "make",
    [
        lambda: reading(9, tsize=0),
        lambda: reading(9),
        lambda: writing(tsize=9),
        writing,
        getting,
        lambda: putting(9),
    ],
)
def test_an_unanswered_peer_gets_few_datagrams(make: Callable[[], Transfer]) -> None:
    """However often the timer expires: the address may be forged."""
    transfer = make()
    sends = len(transfer.start(0.0))
    while not transfer.finished:
        sends += len(transfer.handle(TimerExpired(transfer.deadline)))
        check_deadline(transfer, 0.0)
    assert sends == SENDS_UNANSWERED_MAX
    assert not transfer.answered


def test_a_timer_that_is_early_does_nothing() -> None:
    (
        Playbook(reading(9, tsize=0))
        .starts()
        .sends(oack(tsize=9))
        .after(0.5)
        .happens(TimerExpired(0.5))
        .does_nothing()
        .expires()
        .sends(oack(tsize=9))
        .done()
    )


@pytest.mark.rule("R5")
def test_a_repeated_request_gets_the_same_first_packet_and_no_more_time() -> None:
    (
        Playbook(reading(9, tsize=0))
        .starts()
        .sends(oack(tsize=9))
        .at(0.9)
        .happens(RequestRepeated(0.9))
        .sends(oack(tsize=9))
        .is_due(0.1)
        .receives(ack(0))
        .sends(blocks(1, 1))
        .happens(RequestRepeated(0.9))
        .does_nothing()
        .done()
    )


def test_what_was_repeated_gives_no_round_trip() -> None:
    """Karn's rule: the answer could belong to either copy."""
    transfer = reading(99, tsize=0, blksize=8)
    Playbook(transfer).starts().sends(oack(tsize=99, blksize=8)).at(0.9).happens(
        RequestRepeated(0.9)
    ).sends(oack(tsize=99, blksize=8)).receives(ack(0)).sends(blocks(1, 1)).is_due(1.0).done()


@pytest.mark.rule("R5")
def test_a_request_that_comes_again_while_content_is_paused_waits_for_it() -> None:
    (
        Playbook(reading(9))
        .starts()
        .sends(blocks(1, 1))
        .happens(ContentPaused(1))
        .does_nothing()
        .happens(RequestRepeated(0.1))
        .does_nothing()
        .happens(ContentReady(0.2))
        .sends(blocks(1, 1))
        .done()
    )


# Pauses.


@pytest.mark.parametrize("make", [lambda: reading(9, tsize=9), lambda: writing(tsize=9)])
def test_a_pause_before_the_first_answer_stops_no_timer(make: Callable[[], Transfer]) -> None:
    (
        Playbook(make())
        .starts()
        .sends(oack(tsize=9))
        .happens(ContentPaused())
        .does_nothing()
        .is_due(1.0)
        .expires()
        .sends(oack(tsize=9))
        .happens(ContentReady(1.0))
        .does_nothing()
        .is_due(2.0)
        .done()
    )


def test_a_pause_is_no_silence_of_the_peer() -> None:
    """Our disk took a minute to take what was received; the peer is then asked for more."""
    transfer = writing(windowsize=2)
    story = Playbook(transfer).starts().sends(oack(windowsize=2)).receives(data(1, bytes(512)))
    story.sends(stored(bytes(512))).happens(ContentPaused()).does_nothing()
    story.receives(data(2, bytes(512))).sends(stored(bytes(512))).at(60.0)
    story.happens(ContentReady(60.0)).sends(ack(2))
    while transfer.deadline < 89.0:
        story.expires().sends(ack(2))
    story.receives(data(3, b"end")).sends(stored(b"end"), COMMIT).done()


def test_content_that_is_ready_after_the_end_of_a_pause_by_the_peer_changes_nothing() -> None:
    transfer = writing()
    story = Playbook(transfer).starts().sends(ack(0)).happens(ContentPaused()).does_nothing()
    story.receives(data(1, b"all")).sends(stored(b"all"), COMMIT)
    story.happens(ContentReady(9.0)).does_nothing().stands(State.COMMITTING).done()


def test_content_that_is_ready_without_a_pause_changes_nothing() -> None:
    (
        Playbook(reading(9))
        .starts()
        .sends(blocks(1, 1))
        .at(0.5)
        .happens(ContentReady(0.5))
        .does_nothing()
        .is_due(0.5)
        .done()
    )


def test_committing_means_nothing_to_a_sender() -> None:
    (
        Playbook(reading(9))
        .starts()
        .sends(blocks(1, 1))
        .happens(ContentCommitted(0.0))
        .does_nothing()
        .done()
    )


# Several datagrams at once.


def test_datagrams_that_come_at_once_are_handled_in_order() -> None:
    (
        Playbook(reading(1100))
        .starts()
        .sends(blocks(1, 1))
        .receives_at_once(ack(1), ack(1), ack(2))
        .sends(blocks(2, 1), blocks(3, 1))
        .done()
    )


def test_what_follows_the_end_is_ignored() -> None:
    (
        Playbook(reading(9))
        .starts()
        .sends(blocks(1, 1))
        .receives_at_once(ack(1), error(1)[:4])
        .does_nothing()
        .ends(OutcomeKind.COMPLETED)
        .done()
    )


@pytest.mark.parametrize("make", [lambda: reading(9), writing, getting, lambda: putting(9)])
def test_an_empty_datagram_is_none(make: Callable[[], Transfer]) -> None:
    """It has no stride either, and a peer can send one."""
    transfer = started(make())
    assert not transfer.handle(DatagramsReceived(b"", 0, 0.1))
    assert not transfer.handle(DatagramsReceived(memoryview(b"\0\0\0"), 0, 0.1))
    assert not transfer.finished


# The ends.


@pytest.mark.rfc("1350 7")
def test_an_error_ends_a_transfer_silently() -> None:
    (
        Playbook(writing())
        .starts()
        .sends(ack(0))
        .receives(error(3, "disk full"))
        .does_nothing()
        .stands(State.FAILED)
        .ends(OutcomeKind.ABORTED, 3, "disk full")
        .done()
    )


@pytest.mark.rule("R4")
def test_an_error_without_text_is_told_by_its_code() -> None:
    transfer = started(writing())
    received(transfer, b"\0\5\0\2")
    assert transfer.outcome is not None
    assert transfer.outcome.message == "access violation"


@pytest.mark.rule("R12")
@pytest.mark.rfc("1350 7")
def test_content_that_fails_is_told_to_the_peer() -> None:
    (
        Playbook(writing())
        .starts()
        .sends(ack(0))
        .happens(ContentFailed(3, "disk full"))
        .sends(error(3, "disk full"))
        .ends(OutcomeKind.REFUSED, 3, "disk full")
        .done()
    )


def test_a_stop_with_a_code_is_told_to_the_peer() -> None:
    (
        Playbook(writing())
        .starts()
        .sends(ack(0))
        .happens(STOPPED)
        .sends(error(0, "shutting down"))
        .ends(OutcomeKind.STOPPED, 0)
        .done()
    )


def test_a_stop_without_a_code_is_silent() -> None:
    (
        Playbook(writing())
        .starts()
        .sends(ack(0))
        .happens(Stopped(OutcomeKind.SUPERSEDED, "asked anew"))
        .does_nothing()
        .ends(OutcomeKind.SUPERSEDED)
        .done()
    )


def test_a_closed_port_ends_a_transfer_at_once() -> None:
    (
        Playbook(getting())
        .starts()
        .sends(b"\0\1f\0octet\0")
        .happens(PeerUnreachable(0.1))
        .does_nothing()
        .ends(OutcomeKind.UNREACHABLE)
        .done()
    )


@pytest.mark.parametrize(
    "event",
    [STOPPED, PeerUnreachable(0.1), DatagramsReceived(error(0), 5, 0.1), TimerExpired(99.0)],
    ids=lambda event: type(event).__name__,
)
def test_an_upload_that_is_being_committed_cannot_be_undone(event: Event) -> None:
    (
        Playbook(writing())
        .starts()
        .sends(ack(0))
        .receives(data(1, b"all"))
        .sends(stored(b"all"), COMMIT)
        .happens(event)
        .does_nothing()
        .stands(State.COMMITTING)
        .happens(ContentCommitted(1.0))
        .sends(ack(1))
        .ends(OutcomeKind.COMPLETED)
        .done()
    )


@pytest.mark.parametrize(
    "event", [ContentFailed(3, "late"), ContentPaused(), DatagramsReceived(error(0), 5, 0.1)]
)
def test_an_upload_that_is_on_disk_stays_complete(event: Event) -> None:
    transfer = dallying()
    deadline = transfer.deadline
    assert not transfer.handle(event)
    assert transfer.state is State.DALLYING
    assert transfer.deadline == deadline
    assert len(transfer.handle(DatagramsReceived(data(1, b"all"), 7, 0.2))) == 1
    expired(transfer)
    assert transfer.finished


def test_a_stop_ends_the_dallying_and_changes_no_outcome() -> None:
    transfer = dallying()
    assert not transfer.handle(STOPPED)
    assert transfer.state is State.COMPLETE
    assert transfer.outcome is not None
    assert transfer.outcome.kind is OutcomeKind.COMPLETED


def test_an_unknown_tid_is_told_from_other_errors() -> None:
    assert is_unknown_tid(error(5))
    assert not is_unknown_tid(error(4))
    assert not is_unknown_tid(b"\0\5\1\5")


def test_a_repr_says_where_a_transfer_stands() -> None:
    assert repr(started(reading(9, tsize=0))) == (
        "<ReadTransfer negotiating base=1 next=1 total=1 deadline=1 retries=0>"
    )
    assert repr(committing()) == (
        "<WriteTransfer committing expected=2 acked=0 deadline=inf retries=0>"
    )


def test_it_tells_when_the_peer_answered_last() -> None:
    transfer = started(reading(2000))
    assert transfer.progressed_at == 0.0
    feed(transfer, ack(1), now=0.3)
    feed(transfer, ack(1), now=0.5)
    assert transfer.progressed_at == 0.3


def test_a_closed_port_is_told_in_words() -> None:
    transfer = reading(2000)
    assert transfer.retransmitted == 0
    transfer.start(0.0)
    transfer.handle(PeerUnreachable(0.1))
    assert transfer.outcome == Outcome(OutcomeKind.UNREACHABLE, "the peer's port is closed")


def test_a_client_says_in_full_why_it_gives_up() -> None:
    """Nobody can have forged what it asked itself; a server that was not answered is brief."""
    why = ContentFailed(3, "disk full or allocation exceeded")
    for transfer, told in ((getting(), why.message), (writing(), "disk full")):
        story = Playbook(started(transfer))
        story.happens(why).sends(error(3, told)).ends(OutcomeKind.REFUSED, 3).done()
