from __future__ import annotations

from snowowl.protocol.outcome import Outcome, OutcomeKind


def test_an_outcome_is_a_value() -> None:
    assert Outcome(OutcomeKind.COMPLETED) == Outcome(OutcomeKind.COMPLETED, "", None)
    assert Outcome(OutcomeKind.ABORTED, "x", 1) != Outcome(OutcomeKind.ABORTED, "x", 2)
    assert len({Outcome(OutcomeKind.PROBED), Outcome(OutcomeKind.PROBED)}) == 1


def test_every_kind_has_words_of_its_own() -> None:
    words = [kind.value for kind in OutcomeKind]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() for word in words)
