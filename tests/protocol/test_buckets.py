"""Buckets against a naive model of them; tables against what they may hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.buckets import ALWAYS_FULL, Rate, Recent, SeenLately


class NaiveBucket:
    """A bucket as everybody draws it: tokens that drop in, up to the brim."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self.per_second, self.at_once = per_second, at_once
        self.tokens = at_once
        self.at = 0.0

    def fill(self, now: float) -> None:
        """Let tokens drop in for the time that has passed."""
        self.tokens = min(self.at_once, self.tokens + (now - self.at) * self.per_second)
        self.at = now

    def take(self, reserve: float) -> bool:
        """Take a token, if so much is left then."""
        if self.tokens - 1 < self.at_once * reserve:
            return False
        self.tokens -= 1
        return True

    def give_back(self) -> None:
        """Put one back."""
        self.tokens = min(self.at_once, self.tokens + 1)


# Multiples of 1/64, so that the model's sums are exact.
STEPS = st.tuples(
    st.integers(0, 300).map(lambda pause: pause / 64),
    st.sampled_from(("take", "take", "take", "take sparing", "give back")),
)


@given(st.sampled_from((0.5, 1, 2, 16, 64)), st.integers(1, 40), st.lists(STEPS, max_size=80))
def test_a_bucket_does_what_the_naive_one_does(
    per_second: float, at_once: int, steps: list[tuple[float, str]]
) -> None:
    rate = Rate.of(per_second, at_once)
    naive = NaiveBucket(per_second, at_once)
    full_at, now = ALWAYS_FULL, 0.0
    for pause, step in steps:
        now += pause
        naive.fill(now)
        if step == "give back":
            naive.give_back()
            full_at -= rate.interval
            continue
        reserve = 0.5 if step == "take sparing" else 0.0
        after = rate.take(full_at, now, reserve=reserve)
        assert (after is not None) == naive.take(reserve)
        full_at = full_at if after is None else after


@given(st.floats(0.01, 1e4), st.integers(1, 10_000), st.lists(st.floats(0, 10), max_size=50))
def test_no_more_is_given_than_the_rate_and_the_depth(
    per_second: float, at_once: int, pauses: list[float]
) -> None:
    rate = Rate.of(per_second, at_once)
    full_at, now, taken = ALWAYS_FULL, 1000.0, 0
    for pause in [0.0, *pauses]:
        now += pause
        for _ in range(20):
            after = rate.take(full_at, now)
            if after is not None:
                full_at, taken = after, taken + 1
    assert taken <= at_once + (now - 1000.0) * per_second + 1.01
    assert taken >= min(at_once, 20)


def test_no_tokens_a_second_is_no_limit() -> None:
    rate, full_at = Rate.of(0, 5), ALWAYS_FULL
    for _ in range(1000):
        after = rate.take(full_at, 7.0)
        assert after is not None
        full_at = after


@pytest.mark.parametrize("at_once", [1, 3, 10, 1000])
def test_all_that_may_come_at_once_may(at_once: int) -> None:
    """However the floats round."""
    for per_second in (0.1, 3.0, 7.0, 200.0, 333.3):
        rate, full_at, now = Rate.of(per_second, at_once), ALWAYS_FULL, 86_400.123
        for _ in range(at_once):
            after = rate.take(full_at, now)
            assert after is not None
            full_at = after
        assert rate.take(full_at, now) is None


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=100))
def test_a_table_knows_the_latest_and_never_more_than_twice_as_many(
    generation_max: int, steps: list[tuple[bool, int]]
) -> None:
    table: Recent[int, int] = Recent(generation_max)
    touched: list[int] = []
    values: dict[int, int] = {}
    for number, (puts, key) in enumerate(steps):
        if puts:
            table.put(key, number)
            values[key] = number
        else:
            found = table.get(key)
            assert found in (None, values.get(key))
            if found is None:
                assert key not in touched[-generation_max:]
                continue
        touched = [other for other in touched if other != key] + [key]
        assert len(table) <= 2 * generation_max
    for key in touched[-generation_max:]:
        assert table.pop(key) == values[key]
        assert table.pop(key) is None
        assert table.get(key) is None


def source(number: int) -> bytes:
    """Return an address."""
    return number.to_bytes(4, "big")


def test_who_asks_again_a_second_later_was_seen() -> None:
    seen = SeenLately(1 << 10, 8, salt=1)
    assert not seen.note(source(1), 100.0)
    assert not seen.note(source(1), 100.9)
    assert seen.note(source(1), 101.0)
    assert not seen.note(source(2), 101.0)
    assert seen.note(source(1), 108.5)
    assert not seen.note(source(1), 109.5)  # long ago
    assert seen.note(source(1), 110.5)


def test_in_a_flood_most_who_ask_again_are_still_known_and_hardly_any_stranger_is() -> None:
    """20 000 others, each from an address of its own, between the first and the second time."""
    seen = SeenLately(1 << 18, 8, salt=7)
    draws = random.Random(3)
    honest = [source(0x0A000000 + number) for number in range(200)]
    for one in honest:
        seen.note(one, 50.0)
    mistaken = sum(
        seen.note(draws.randbytes(4), 50.0 + number / 20_000) for number in range(20_000)
    )
    again = sum(seen.note(one, 51.5) for one in honest)
    assert mistaken <= 100
    assert again >= 170
