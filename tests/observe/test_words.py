"""Sizes, rates and outcomes in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.observe.log import LogObserver
from snowowl.observe.words import outcome_words, printable, rate_text, size_text
from snowowl.protocol.outcome import Outcome, OutcomeKind


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (1 << 72, "4096.0 EiB"),
    ],
)
def test_size(octets: int, text: str) -> None:
    assert size_text(octets) == text


def test_rate() -> None:
    assert rate_text(2048, 2.0) == "1.0 KiB/s"
    assert rate_text(2048, 0.0) == "-"


@given(st.sampled_from(OutcomeKind), st.text(), st.none() | st.integers(0, 65535))
def test_every_outcome_has_words(kind: OutcomeKind, message: str, code: int | None) -> None:
    words = outcome_words(Outcome(kind, message, code))
    assert words
    assert words.isprintable()


@given(st.text(st.characters(exclude_categories=())))
def test_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 3000
    if text.isprintable() and len(text) <= 300:
        assert shown == text


def test_our_own_words_are_not_cut_before_what_is_to_be_done() -> None:
    lines: list[str] = []
    log = LogObserver(lines.append, form="console", level="info")
    advice = "; name another one by --user"
    log.give_up(f"cannot serve {'/long' * 500}{advice}")
    log.complain(f"{'/long' * 500}{advice}")
    assert all(advice in line for line in lines)
