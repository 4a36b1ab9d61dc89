from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.content.errors import ContentError
from snowowl.content.names import COMPONENT_MAX, NAME_MAX, NameRules, components, display
from snowowl.wire.constants import ErrorCode

LENIENT = NameRules()
STRICT = NameRules(strip_trailing=False, backslash=False, hidden=True)

near_names = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b"...", b"a", b"\\", b"\xff", b" ", b".snowowl-1"]),
        st.binary(min_size=1, max_size=300),
    ),
    max_size=8,
).map(b"/".join)


@pytest.mark.rule("R13")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"pxelinux.0", (b"pxelinux.0",)),
        (b"/pxelinux.0", (b"pxelinux.0",)),
        (b"//boot///grub//x", (b"boot", b"grub", b"x")),
        (b"./boot/./x/", (b"boot", b"x")),
        (b"Boot\\x64\\wdsnbp.com", (b"Boot", b"x64", b"wdsnbp.com")),
        (b"\\\\boot\\x", (b"boot", b"x")),
        (b"undionly.kpxe\xff", (b"undionly.kpxe",)),
        (b"undionly.kpxe\xff\xff \r\n\t\x7f", (b"undionly.kpxe",)),
        (b" a b ", (b" a b",)),
        (b"a.b/a..", (b"a.b", b"a..")),
        (b"caf\xc3\xa9\xff/x", (b"caf\xc3\xa9\xff", b"x")),
        (b"x" * COMPONENT_MAX, (b"x" * COMPONENT_MAX,)),
    ],
)
def test_names_of_real_clients_lead_to_their_components(
    name: bytes, expected: tuple[bytes, ...]
) -> None:
    assert components(name, LENIENT) == expected


@pytest.mark.parametrize(
    "name", [b".ssh/id", b"a/.git/config", b"...", b"..a", b"/.x", b"./.x", b"a\\.x", b".\xff.x"]
)
def test_hidden_names_are_missing_for_readers_and_refused_to_writers(name: bytes) -> None:
    with pytest.raises(ContentError) as caught:
        components(name, LENIENT)
    assert (caught.value.code, caught.value.message) == (1, "file not found")
    with pytest.raises(ContentError) as caught:
        components(name, LENIENT, writing=True)
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION
    assert not caught.value.escape
    shown = NameRules(hidden=True)
    assert components(name, shown) == components(name, shown, writing=True)


def test_without_the_rules_octets_are_taken_as_they_are() -> None:
    assert components(b"a\\b \xff", STRICT) == (b"a\\b \xff",)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"", ErrorCode.FILE_NOT_FOUND),
        (b"/", ErrorCode.FILE_NOT_FOUND),
        (b"\xff \xff", ErrorCode.FILE_NOT_FOUND),
        (b"././", ErrorCode.FILE_NOT_FOUND),
        (b"..", ErrorCode.ACCESS_VIOLATION),
        (b"../etc/passwd", ErrorCode.ACCESS_VIOLATION),
        (b"/../etc/passwd", ErrorCode.ACCESS_VIOLATION),
        (b"a/../../../../etc/passwd", ErrorCode.ACCESS_VIOLATION),
        (b"..\\..\\boot.ini", ErrorCode.ACCESS_VIOLATION),
        (b"a/..", ErrorCode.ACCESS_VIOLATION),
        (b"a/..\xff", ErrorCode.ACCESS_VIOLATION),  # stripped before it is looked at
        (b"a\0b", ErrorCode.ACCESS_VIOLATION),
        (b"a\0", ErrorCode.ACCESS_VIOLATION),
        (b"x" * (COMPONENT_MAX + 1), ErrorCode.FILE_NOT_FOUND),
        (b"x/" * (NAME_MAX // 2) + b"xx", ErrorCode.FILE_NOT_FOUND),
    ],
)
def test_names_that_lead_nowhere_are_refused(name: bytes, code: ErrorCode) -> None:
    with pytest.raises(ContentError) as caught:
        components(name, LENIENT)
    assert caught.value.code is code
    assert caught.value.escape == (b".." in name.replace(b"\\", b"/").rstrip(b"\xff").split(b"/"))


def test_the_longest_name_is_taken() -> None:
    assert len(components(b"x/" * (NAME_MAX // 2) + b"x", LENIENT)) == NAME_MAX // 2 + 1


@pytest.mark.parametrize("name", [b".snowowl-00.part", b"a/.snowowl-x/b", b"/.snowowl-"])
@pytest.mark.parametrize("rules", [LENIENT, STRICT])
def test_temporary_names_of_uploads_are_nobodys(name: bytes, rules: NameRules) -> None:
    with pytest.raises(ContentError) as caught:
        components(name, rules)
    assert caught.value.code is ErrorCode.FILE_NOT_FOUND
    with pytest.raises(ContentError) as caught:
        components(name, rules, writing=True)
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION


@given(near_names, st.booleans(), st.booleans(), st.booleans())
def test_whatever_the_octets_no_component_climbs(
    name: bytes, strip_trailing: bool, backslash: bool, hidden: bool
) -> None:
    rules = NameRules(strip_trailing=strip_trailing, backslash=backslash, hidden=hidden)
    try:
        parts = components(name, rules)
    except ContentError:
        return
    assert parts
    for part in parts:
        assert part not in {b"", b".", b".."}
        assert hidden or not part.startswith(b".")
        assert b"/" not in part
        assert b"\0" not in part
    assert components(b"/".join(parts), STRICT) == parts


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"pxelinux.cfg/01-aa", "pxelinux.cfg/01-aa"),
        (b"a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        (b"C:\\x", "C:\\\\x"),
        (b"\"'`", "\\x22\\x27\\x60"),
        (b"\xff", "\\xff"),
        (b"", ""),
    ],
)
def test_names_are_shown_escaped(name: bytes, shown: str) -> None:
    # SECURITY.md 18: names have forged log lines.
    assert display(name) == shown


def test_a_name_that_just_fits_is_not_cut() -> None:
    assert display(b"x" * 20, 20) == "x" * 20
    assert display(b"x" * 21, 20) == "x" * 17 + "..."
    assert display(b"\n" * 6, 20) == "\\x0a" * 4 + "..."


@given(st.binary(max_size=400), st.integers(0, 120))
def test_what_is_shown_is_printable_and_bounded(name: bytes, limit: int) -> None:
    shown = display(name, limit)
    assert len(shown) <= limit
    assert all(" " <= char <= "~" for char in shown)
    assert not set(shown) & set("'\"`")
