"""What fails is made simpler, and still fails."""

from __future__ import annotations

from fuzz.reduce import reduced
from fuzz.seeds import Seed, call


def test_all_is_left_out_that_does_not_matter() -> None:
    seed = (
        call("begin", 7, (b"abc", 5)),
        *[call("wait", 0.5)] * 20,
        call("receive", b"12345x67890", 9),
        call("close"),
    )

    def fails(other: Seed) -> bool:
        return any(
            step.name == "receive" and isinstance(step.args[0], bytes) and b"x" in step.args[0]
            for step in other
        )

    assert reduced(seed, fails) == (call("receive", b"x", 0),)


def test_values_within_tuples_and_negative_numbers() -> None:
    seed = (call("a", ((-8, b"q"), (3, b"zz")), -9.0),)

    def fails(other: Seed) -> bool:
        pairs = other[0].args[0]
        return isinstance(pairs, tuple) and len(pairs) == 2 and "z" in str(pairs[1])

    assert reduced(seed, fails) == (call("a", ((), (b"z",)), 0.0),)


def test_what_cannot_be_simpler_stays() -> None:
    seed = (call("a"),)
    assert reduced(seed, lambda _: False) == seed


def test_there_is_an_end_to_trying() -> None:
    seed = (call("a", b"x" * 1000),)
    assert reduced(seed, lambda _: True, seconds=0.0) == seed
