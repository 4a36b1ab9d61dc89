"""`tftp://host[:port]/path;mode=octet`, RFC 3617."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.client.url import Target, parse_url
from snowowl.wire.packets import Mode

OCTET, NETASCII = Mode.OCTET, Mode.NETASCII


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("tftp://example.com/myconf", ("example.com", 69, b"myconf", OCTET)),
        ("tftp://example.com/myconf;mode=netascii", ("example.com", 69, b"myconf", NETASCII)),
        ("TFTP://h/f;MODE=Octet", ("h", 69, b"f", OCTET)),
        ("tftp://h:6969/a/b", ("h", 6969, b"a/b", OCTET)),
        ("tftp://h:/f", ("h", 69, b"f", OCTET)),
        ("tftp://h:00069/f", ("h", 69, b"f", OCTET)),
        ("tftp://h//abs/f", ("h", 69, b"/abs/f", OCTET)),
        ("tftp://h/a?b#c", ("h", 69, b"a?b#c", OCTET)),
        ("tftp://h/a:b@c", ("h", 69, b"a:b@c", OCTET)),
        ("tftp://h/a%20b%2Fc", ("h", 69, b"a b/c", OCTET)),
        ("tftp://h/%ff%C3%A9", ("h", 69, b"\xff\xc3\xa9", OCTET)),
        ("tftp://h/é", ("h", 69, b"\xc3\xa9", OCTET)),
        ("tftp://h/\udcff", ("h", 69, b"\xff", OCTET)),  # an octet of the command line
        ("tftp://h/100%", ("h", 69, b"100%", OCTET)),
        ("tftp://h/f%3Bmode=octet", ("h", 69, b"f;mode=octet", OCTET)),
        ("tftp://h/f;mode=octet;mode=netascii", ("h", 69, b"f;mode=octet", NETASCII)),
        ("tftp://h/f;x=1", ("h", 69, b"f;x=1", OCTET)),
        ("tftp://[2001:db8::1]/f", ("2001:db8::1", 69, b"f", OCTET)),
        ("tftp://[2001:db8::1]:70/f", ("2001:db8::1", 70, b"f", OCTET)),
        ("tftp://[fe80::1%25eth0]/f", ("fe80::1%eth0", 69, b"f", OCTET)),
    ],
)
def test_what_a_url_names(url: str, target: tuple[str, int, bytes, Mode]) -> None:
    assert parse_url(url) == Target(*target)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not of the form"),
        ("h/f", "not of the form"),
        ("http://h/f", "not of the form"),
        ("tftp://h", "not of the form"),
        ("tftp://::1/f", "names no host"),
        ("tftp:///f", "names no host"),
        ("tftp://[]/f", "names no host"),
        ("tftp://h/", "names no file"),
        ("tftp://h/;mode=octet", "names no file"),
        ("tftp://h/a%00b", "NUL"),
        ("tftp://h%00/f", "character that no name has"),
        ("tftp://a b/f", "character that no name has"),
        ("tftp://%ff/f", "no UTF-8"),
        ("tftp://h/\ud800", "half a character"),
        ("tftp://h/f;mode=mail", "unknown"),
        ("tftp://h/f;mode=", "unknown"),
        ("tftp://h:0/f", "from 1 to 65535"),
        ("tftp://h:65536/f", "from 1 to 65535"),
        ("tftp://h:00000169999/f", "from 1 to 65535"),
        ("tftp://h:+1/f", "from 1 to 65535"),
        ("tftp://h:x/f", "from 1 to 65535"),
        ("tftp://h:\u0661/f", "from 1 to 65535"),
        (f"tftp://h:{'9' * 5000}/f", "from 1 to 65535"),
    ],
)
def test_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_url(url)
    assert type(caught.value) is ValueError  # its words are shown to people


@given(
    st.one_of(
        st.text(st.characters(exclude_categories=())),
        st.builds(
            "tftp://{}{}/{}".format,
            st.text(st.characters(exclude_categories=())),
            st.sampled_from(["", ":69", ":x"]),
            st.text(st.characters(exclude_categories=())),
        ),
    )
)
def test_any_text_is_a_target_or_a_value_error(url: str) -> None:
    try:
        target = parse_url(url)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017 - it need not be raised
    else:
        assert 0 < target.port < 65536
        assert target.filename
        assert b"\0" not in target.filename


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_every_name_can_be_written(name: bytes) -> None:
    assert parse_url(f"tftp://h/{quote(name)}").filename == name


def test_server_for_people() -> None:
    assert parse_url("tftp://[::1]:70/f").server == "[::1]:70"
    assert parse_url("tftp://h/f").server == "h:69"
