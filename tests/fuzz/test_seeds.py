"""Seeds as text: what is written is read, what is no seed is told with its line, nothing is executed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import corpus
from fuzz.plays import method_of
from fuzz.seeds import Arg, Call, SeedError, call, literal, parse, smaller, text_of
from fuzz.targets import TARGETS

leaves: st.SearchStrategy[Arg] = st.one_of(
    st.binary(), st.text(), st.integers(), st.none(), st.floats(-1e9, 1e9), st.just(b"x" * 500)
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
steps = st.builds(
    Call, st.sampled_from(["begin", "receive"]), st.lists(values, max_size=3).map(tuple)
)


@given(st.lists(steps, min_size=1, max_size=4).map(tuple))
def test_what_is_written_is_read(seed: tuple[Call, ...]) -> None:
    assert parse(text_of(seed), "f", one_call=False) == [seed]
    assert parse(text_of(seed), "f", one_call=True) == [(step,) for step in seed]


def test_long_runs_are_short() -> None:
    assert literal(b"\0\3\0\1" + b"x" * 512) == r"b'\x00\x03\x00\x01' + b'x' * 512"


def test_comments_and_paragraphs() -> None:
    text = "# of curl\na(1)\n  b()\n\n\n# more\nc(-2.5, None, (b'x',))"
    assert parse(text, "f", one_call=False) == [
        (call("a", 1), call("b")),
        (call("c", -2.5, None, (b"x",)),),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "receive",
        "receive(",
        "receive(x)",
        "a.b(1)",
        "a(b=1)",
        "a(__import__('os').system('false'))",
        "a([x for x in b''])",
        "a(f'{1}')",
        "a(b'x' * 1_000_000_000)",
        "a((b'x' * 100_000) + (b'x' * 100_000))",
        "a(2 * 2 ** 9)",
        "a(1 + 1)",
        "a(" + "(" * 5000,
        "a(" + "-" * 5000 + "1)",
        "a(...)",
        "a(1j)",
        "a('\0')",
    ],
)
def test_what_is_no_seed_is_told_with_its_line(line: str) -> None:
    with pytest.raises(SeedError, match=r"f:2: "):
        parse(f"# one\n{line}\n", "f", one_call=True)


@given(st.text(), st.booleans())
def test_any_text_is_seeds_or_an_error(text: str, one_call: bool) -> None:
    try:
        parse(text, "f", one_call=one_call)
    except SeedError as error:
        assert re.match(r"f:\d+: ", str(error))  # noqa: PT017 - either way is fine


@pytest.mark.parametrize(
    "step",
    [
        call("nothing"),
        call("close"),
        call("__init__"),
        call("_check", 1),
        call("datagrams"),
        call("decode"),
        call("decode", "text"),
        call("decode", b"1", b"2"),
    ],
)
def test_a_call_that_a_play_does_not_have(step: Call) -> None:
    with pytest.raises(SeedError):
        method_of(TARGETS["decode"].play(), step)


def test_what_is_inside_of_values_is_looked_at_too() -> None:
    play = TARGETS["options"].play()
    method_of(play, call("grant", ((b"a", b"1"),), b""))
    for asked in (((b"a",),), ((b"a", 1),), (b"a",)):
        with pytest.raises(SeedError, match="wrong kind"):
            method_of(play, call("grant", asked, b""))


def test_fewer_calls_are_simpler_and_then_shorter_ones() -> None:
    assert smaller((call("a", b"x" * 20),), (call("a"), call("b")))
    assert smaller((call("a"),), (call("a", 1),))
    assert not smaller((call("a"),), (call("a"),))


# The corpus.


def test_the_corpus_says_where_each_file_is_from() -> None:
    readme = (corpus.FOLDER / "README.md").read_text()
    told = re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)
    found = [path for name in TARGETS for path in corpus.files(name)]
    assert sorted(told) == sorted({path.name for path in found})
    for path in found:
        assert path.read_text().startswith("# "), path


def test_there_is_nothing_else_in_the_corpus() -> None:
    known = {path for name in TARGETS for path in corpus.files(name)}
    files = {path for path in corpus.FOLDER.rglob("*") if path.is_file()}
    assert files - known == {corpus.FOLDER / "README.md"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_bytes(b"\xff")
    for name in ("odd.txt", "none.txt"):
        with pytest.raises(SeedError, match="cannot be read"):
            corpus.read(tmp_path / name, "decode")


def test_captured_requests_are_what_requests_are_made_of() -> None:
    assert b"\0\1f\0octet\0tsize\x000\0" in corpus.requests(1)
    assert all(octets[:2] == b"\0\2" for octets in corpus.requests(2))
    assert len(corpus.datagrams()) > 100
