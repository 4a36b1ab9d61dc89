"""The language of the stories: what it must notice."""

from __future__ import annotations

import math

import pytest

from snowowl.protocol.actions import Commit
from snowowl.protocol.events import ContentPaused, TimerExpired
from snowowl.protocol.outcome import OutcomeKind
from snowowl.protocol.transfer import State
from snowowl.testing.playbook import (
    UNFINISHED,
    Playbook,
    ack,
    all_told,
    blocks,
    check_deadline,
    data,
    error,
    oack,
    payloads_of,
    stored,
)
from tests.protocol.stories import reading, writing


def test_a_story_that_is_true() -> None:
    (
        Playbook(writing(blksize=8))
        .at(0.0)
        .starts()
        .sends(oack(blksize=8))
        .after(0.1)
        .receives(data(1, b"all"))
        .sends(stored(b"all"), Commit())
        .stands(State.COMMITTING)
        .done()
    )
    assert not UNFINISHED


def test_a_mismatch_shows_what_was_expected_and_what_was_done() -> None:
    story = Playbook(reading(2000)).starts()
    with pytest.raises(AssertionError) as caught:
        story.sends(blocks(1, 2), ack(0))
    story.done()
    text = str(caught.value)
    assert "after start at 0 s, <ReadTransfer transferring" in text
    assert "- DATA blocks 1 to 2\n" in text
    assert "+ DATA blocks 1 to 1\n" in text
    assert "- ACK 0" in text


@pytest.mark.parametrize(
    "packet", [ack(2), data(1, b"x"), data(1), error(1, "no"), oack(blksize=8), b"\0\4", b"noise"]
)
def test_packets_are_told_apart(packet: bytes) -> None:
    story = Playbook(writing()).starts()
    with pytest.raises(AssertionError, match="did not do as expected"):
        story.sends(packet)
    story.done()


def test_errors_that_differ_in_padding_differ() -> None:
    story = Playbook(reading(9, blksize=8)).starts()
    with pytest.raises(AssertionError, match="did not do as expected"):
        story.sends(oack(blksize=8) + b"\0")
    story.done()


def test_what_is_not_told_must_be_nothing() -> None:
    story = Playbook(reading(2000)).starts()
    with pytest.raises(AssertionError, match="DATA blocks 1 to 1"):
        story.receives(ack(1))
    story.receives(ack(7))
    story.done()
    story = Playbook(reading(2000)).starts()
    with pytest.raises(AssertionError, match="DATA blocks 1 to 1"):
        story.done()
    story.done()


def test_a_story_is_unfinished_until_it_is_done() -> None:
    story = Playbook(reading(9)).starts().sends(blocks(1, 1))
    assert [story] == UNFINISHED
    story.done()
    assert not UNFINISHED


def test_nothing_is_not_a_list_of_nothing() -> None:
    story = Playbook(reading(9)).starts()
    with pytest.raises(AssertionError, match="does_nothing"):
        story.sends()
    with pytest.raises(AssertionError, match="did not do as expected"):
        story.does_nothing()
    story.done()


def test_time_goes_forward_to_deadlines_that_exist() -> None:
    story = Playbook(reading(9)).at(1.0).starts().sends(blocks(1, 1)).is_due(1.0)
    with pytest.raises(AssertionError, match="does not go back"):
        story.at(0.5)
    with pytest.raises(AssertionError, match="due in"):
        story.is_due(2.0)
    story.expires().sends(blocks(1, 1)).happens(ContentPaused(1)).does_nothing()
    with pytest.raises(AssertionError, match="there is no deadline"):
        story.expires()
    story.done()


def test_states_and_outcomes_are_checked() -> None:
    story = Playbook(reading(9)).starts().sends(blocks(1, 1))
    with pytest.raises(AssertionError):
        story.stands(State.NEGOTIATING)
    with pytest.raises(AssertionError):
        story.ends(OutcomeKind.COMPLETED)
    story.receives(error(3, "disk full")).does_nothing().ends(OutcomeKind.ABORTED, 3, "full")
    for wrong in ((OutcomeKind.ABORTED, None, None), (OutcomeKind.ABORTED, 3, "empty")):
        with pytest.raises(AssertionError):
            story.ends(*wrong)
    story.done()


def test_a_deadline_that_is_stale_or_missing_is_noticed() -> None:
    transfer = reading(9)
    transfer.start(0.0)
    check_deadline(transfer, 0.5)
    with pytest.raises(AssertionError, match="is not after"):
        check_deadline(transfer, 1.0)
    transfer.deadline = math.inf
    with pytest.raises(AssertionError):
        check_deadline(transfer, 0.5)
    transfer.handle(TimerExpired(1.0))


def test_payloads_are_cut_by_stride() -> None:
    assert payloads_of(stored(b"12345678", b"9")) == [b"12345678", b"9"]
    assert payloads_of(stored(b"")) == [b""]


def test_a_block_in_which_a_story_is_left_open_fails() -> None:
    outer = Playbook(reading(9)).starts().sends(blocks(1, 1))
    with pytest.raises(AssertionError, match=r"stories without done.*ReadTransfer"), all_told():
        Playbook(reading(9)).starts().sends(blocks(1, 1))
    assert [outer] == UNFINISHED
    with all_told():
        Playbook(reading(9)).starts().sends(blocks(1, 1)).done()
    outer.done()


def test_a_failure_in_a_block_goes_before_its_open_stories() -> None:
    with pytest.raises(AssertionError, match="did not do as expected"), all_told():
        Playbook(reading(9)).starts().sends(ack(1))
    assert not UNFINISHED
