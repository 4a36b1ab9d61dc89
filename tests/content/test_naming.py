"""Names that uploads make for themselves: any client, any name, never more than a file can have."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config.write import UNIQUE_FIELDS
from snowowl.content.errors import ContentError
from snowowl.content.names import COMPONENT_MAX, NameRules
from snowowl.content.naming import NUMBERS_MAX, Template, Uploader, split
from snowowl.wire.constants import ErrorCode

WHEN = 1_796_000_000.0  # 2026-11-30 00:53:20 UTC
BOARD = Uploader("192.0.2.9:2000", WHEN)


@pytest.mark.parametrize(
    ("template", "name", "uploader", "expected"),
    [
        ("{name}.{number}", b"core.gz", BOARD, b"core.gz.7"),
        ("{stem}-{number}{suffix}", b"core.tar.gz", BOARD, b"core.tar-7.gz"),
        ("{stem}-{number}{suffix}", b"core", BOARD, b"core-7"),
        ("{stem}-{number}{suffix}", b".profile", BOARD, b".profile-7"),
        ("{client}_{port}.{number}", b"x", BOARD, b"192.0.2.9_2000.7"),
        ("{date}-{time}-{number}", b"x", BOARD, b"20261130-005320-7"),
        ("{{{number}}}", b"x", BOARD, b"{7}"),
        ("caf\u00e9-{number}", b"x", BOARD, b"caf\xc3\xa9-7"),
        ("{client}.{number}", b"x", Uploader("[2001:db8::1]:69", WHEN), b"2001-db8--1.7"),
        ("{client}.{number}", b"x", Uploader("[fe80::1%eth0]:69", WHEN), b"fe80--1-eth0.7"),
        ("{client}.{number}", b"x", Uploader("[::1]:69", WHEN), b"0--1.7"),
        ("{client}.{number}", b"x", Uploader("", WHEN), b"unknown.7"),
    ],
)
def test_what_templates_make(
    template: str, name: bytes, uploader: Uploader, expected: bytes
) -> None:
    assert Template(template).name(name, uploader, 7) == expected
    assert Template(template).pattern().fullmatch(expected)


def test_numbers_begin_with_one_and_come_to_an_end() -> None:
    names = list(Template().names(b"log", BOARD, NameRules()))
    assert names[:2] == [b"log.1", b"log.2"]
    assert len(names) == NUMBERS_MAX


def test_a_name_that_is_too_long_keeps_its_end() -> None:
    name = b"x" * 251 + b".cfg"
    made = Template().name(name, BOARD, 12)
    assert made == b"x" * 248 + b".cfg.12"
    # No half of a character is left.
    assert Template().name("\u00e9".encode() * 127, BOARD, 12).decode() == "\u00e9" * 126 + ".12"


@pytest.mark.parametrize("template", [".{name}.{number}", "{suffix}{number}", ".snowowl-{number}"])
def test_a_template_makes_nothing_that_could_not_be_asked_for(template: str) -> None:
    with pytest.raises(ContentError) as caught:
        next(Template(template).names(b"a.cfg", BOARD, NameRules()))
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION
    if "snowowl" not in template:
        assert next(Template(template).names(b"a.cfg", BOARD, NameRules(hidden=True)))


def test_what_cannot_be_cut_to_a_name_is_refused() -> None:
    with pytest.raises(ContentError):
        Template("y" * 300 + "{number}").name(b"x", BOARD, 1)


templates = st.lists(
    st.one_of(
        st.sampled_from([f"{{{field}}}" for field in UNIQUE_FIELDS]),
        st.text("abc.-_ \u00e9", max_size=5),
    ),
    max_size=6,
).map(lambda parts: "".join(parts) + "{number}")
file_names = st.binary(min_size=1, max_size=COMPONENT_MAX).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in {b".", b".."}
)
uploaders = st.builds(Uploader, st.text(max_size=60), st.floats(0, 4e9))


@given(templates, file_names, uploaders)
def test_whatever_it_is_made_of_it_is_a_name(text: str, name: bytes, uploader: Uploader) -> None:
    template = Template(text)
    try:
        made = list(islice(template.names(name, uploader, NameRules()), 12))
    except ContentError:
        return
    assert len(set(made)) == 12
    for one in made:
        assert 0 < len(one) <= COMPONENT_MAX
        assert not {0, 0x2F} & set(one)
        assert not one.startswith(b".")
    # What the client is called adds nothing that a shell or a screen would take for something.
    only_client = Template("{client}{number}").name(b"x", uploader, 1)
    assert set(only_client) <= set(
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    )


@given(file_names)
def test_stem_and_suffix_are_the_name(name: bytes) -> None:
    stem, suffix = split(name)
    assert stem + suffix == name
    assert stem
