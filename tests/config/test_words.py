"""Messages are one printable line, whatever the value."""

from __future__ import annotations

import tomllib
from datetime import date, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config.words import SHOWN_MAX, closest, dotted, printable, quote, show


@given(st.text())
def test_quoted_text_is_toml_for_the_same_text(text: str) -> None:
    assert tomllib.loads(f"x = {quote(text)}") == {"x": text}


@given(st.text(alphabet=st.characters(categories=None)))
def test_every_text_becomes_printable(text: str) -> None:
    assert quote(text).isprintable()
    assert printable(text).isprintable()


def test_printable_leaves_text_alone_and_escapes_control_characters() -> None:
    assert printable('größe "1"\\') == 'größe "1"\\'
    assert printable("a\n\x1b[2J") == "a\\n\\u001B[2J"
    assert printable("\U000e0001") == "\\U000E0001"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "nothing"),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (0.5, "0.5"),
        ("a\n", '"a\\n"'),
        ("x" * 100, '"' + "x" * SHOWN_MAX + '"...'),
        (Path("/srv"), '"/srv"'),
        ({}, "a table"),
        ([], "an array"),
        ((), "an array"),
        (date(2026, 1, 1), "a date or time"),
        (time(1), "a date or time"),
        (b"", "bytes"),
    ],
)
def test_show(value: object, shown: str) -> None:
    assert show(value) == shown


def test_an_integer_that_python_refuses_to_print_is_shown_by_its_size() -> None:
    assert show(1 << 20000) == "an integer of 20001 bits"


def test_dotted_quotes_keys_that_are_not_bare_and_shortens_long_ones() -> None:
    assert dotted(("server", "listen", 1)) == "server.listen[1]"
    assert dotted(("a b", "c.d", "")) == '"a b"."c.d".""'
    assert len(dotted(("x" * 5000,))) < 2 * SHOWN_MAX


def test_the_closest_candidate_forgives_dashes_and_capitals() -> None:
    assert closest("Port-Range", ["root", "port_range"]) == "port_range"
    assert closest("lissten", ["root", "listen"]) == "listen"
    assert closest("zzz", ["root", "listen"]) is None
