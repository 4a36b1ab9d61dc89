"""File names that lead out of a root on some server: every kind of traversal, as strategies.

Kinds, not servers: what sanitisers, prefix checks, tokenisers and shells have been taken in by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

TARGETS: Final = (
    b"etc/passwd",
    b"etc/hosts",
    b"etc/os-release",
    b"proc/version",
    b"proc/self/environ",
    b"windows/win.ini",
    b"winnt/win.ini",
    b"boot.ini",
)
"""Files whose content `leaks` knows, beneath the root of a file system."""

UPS: Final = (
    b"../",
    b"..\\",
    b"..//",
    b"./../",
    b".././",
    b"..\\/",
    b"..../",
    b"....//",
    b"%2e%2e/",
    b"..%2f",
    b"%2e%2e%2f",
    b"..%5c",
    b"%252e%252e%252f",
    b"..%c0%af",
    b"\xc0\xae\xc0\xae/",
    b"..\xc0\xaf",
    b".. /",
    b"..;/",
    b".../",
)
"""Ways to say "one folder up"."""

STARTS: Final = (
    b"",
    b"/",
    b"./",
    b"//",
    b"a/",
    b"boot/",
    b"pxelinux.cfg/",
    b"a/b/c/",
    b"\\",
    b"/./",
    b"/boot/",
    b"~/",
    b".//",
    b"a/../",
)
"""What stands before it: a check of the beginning of a name sees only this.

A kernel goes up only from a folder that exists, so usual ones are among them; see also `ways_out`."""

ENDS: Final = (b"", b"/", b".", b"%00", b"%00.bin", b" ", b"::$DATA", b"\n", b"?", b"#", b"~")
"""What stands behind: a check of an extension sees only this."""

PREFIXES: Final = (
    b"",
    b"/",
    b"//",
    b"\\",
    b"C:/",
    b"C:\\",
    b"file:///",
    b"tftp:///",
    b"\\\\127.0.0.1\\c$\\",
    b"//./",
    b"/proc/self/root/",
    b"/proc/self/cwd/../../../../../../",
    b"~root/../",
    b"%2f",
    b"/../",
)
"""Ways to begin at the top."""

ODD: Final = (
    b"",
    b".",
    b"..",
    b"/",
    b"//",
    b"\\",
    b"a/",
    b"~",
    b"-",
    b"-rf",
    b"%s%s%s%n",
    b"%d%x%p",
    b"|id",
    b";id",
    b"`id`",
    b"$(id)",
    b"*",
    b"?",
    b"[a",
    b"con",
    b"nul",
    b"aux.txt",
    b"\xff",
    b"\xff\xfe\xfd",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\x7f\x80",
    b"\x1b[2J",
    b"a\nb",
    b"\r\n",
    b" ",
    b"\xe2\x80\xae",
)
"""Names that are no names: for what parses, formats, decodes or prints them."""

SPICES: Final = (
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\xe2\x82\xac",
    b"\n",
    b"\x1b",
    b"\x7f",
    b"%s",
    b"%",
    b"\\",
)
"""What some decoder, printer or format cannot bear in the midst of a name."""

UPS_MAX: Final = 12
"""Folders up: more than any root is deep, and going up from the top stays there."""

_LENGTHS: Final = (64, 100, 127, 128, 255, 256, 257, 500, 508, 511, 512, 1024, 1400, 4096, 9000)


def ways_out(secrets: Sequence[bytes], known: bytes | None) -> st.SearchStrategy[bytes]:
    """Return names that lead out.

    `secrets` are absolute paths of files that are there for sure, `known` is a name that exists: its
    folders do, too.
    """
    tops = (*(secret.lstrip(b"/") for secret in secrets), *TARGETS)
    folder = (known or b"").rpartition(b"/")[0]
    starts = [folder + b"/", b"/" + folder.lstrip(b"/") + b"/"] * 5 if folder.strip(b"/") else []
    begin = st.sampled_from([*STARTS, *starts])
    beside = [_beside(secrets, begin)] if secrets else []
    # What most servers that go wrong fall for: no trick but a beginning that exists.
    plain = st.builds(
        lambda start, count, top: start + b"../" * count + top,
        st.sampled_from([folder + b"/", b""] if folder.strip(b"/") else [b"", *STARTS]),
        st.integers(1, UPS_MAX).map(lambda count: UPS_MAX + 1 - count),
        _mostly(tops),
    )
    return st.one_of(plain, _upwards(tops, begin), _absolute(tops), *beside)


def names(known: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return names that lead nowhere else: of files that exist, odd ones, long ones, any octets."""
    anything = st.binary(max_size=12).map(lambda octets: octets.replace(b"\0", b""))
    long = st.builds(
        lambda unit, length: (unit * length)[:length],
        st.sampled_from([b"a", b"a/", b"../", b"%n", b"\xff", b"/"]),
        st.sampled_from(_LENGTHS),
    )
    ours = st.sampled_from([*known, b"a"])
    spiced = st.builds(
        lambda name, spice, at: name[:at] + spice + name[at:],
        ours,
        _mostly(SPICES),
        st.integers(0, 3),
    )
    near = st.builds(lambda name, end: name + end, ours, st.sampled_from(ENDS))
    return st.one_of(ours, spiced, spiced, st.sampled_from(ODD), anything, near, long)


def _upwards(tops: Sequence[bytes], begin: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    def name(top: bytes, up: bytes, count: int, start: bytes, end: bytes, slashed: bool) -> bytes:
        path = start + up * count + top
        return (path.replace(b"/", b"\\") if slashed else path) + end

    return st.builds(
        name,
        _mostly(tops),
        _mostly(UPS),
        st.integers(1, UPS_MAX).map(lambda count: UPS_MAX + 1 - count),
        begin,
        _mostly(ENDS, 6),
        st.sampled_from([False, False, False, True]),
    )


def _absolute(tops: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda prefix, top, end: prefix + top + end,
        st.sampled_from(PREFIXES),
        _mostly(tops),
        _mostly(ENDS, 6),
    )


def _beside(secrets: Sequence[bytes], begin: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return names of secrets from folders near them: what a check of a string's prefix lets through."""
    pairs = []
    for secret in secrets:
        parts = secret.strip(b"/").split(b"/")
        pairs += [(b"/".join(parts[index:]), len(parts) - index) for index in range(len(parts))]
    return st.builds(
        lambda pair, up, count, start: start + up * count + pair[0],
        st.sampled_from(pairs[::-1]),
        _mostly(UPS),
        st.integers(1, 4),
        begin,
    )


def _mostly(choices: Sequence[bytes], weight: int = 1) -> st.SearchStrategy[bytes]:
    """Return the choices, the first one (which is the plain one) as often as all others together."""
    first = st.just(choices[0])
    return st.one_of(*[first] * weight, st.sampled_from(list(choices)))
