"""File names: those that boards ask for, and those that try to leave the root.  Octets, no packets.

A name in a request ends at its first NUL, so `names` and `traversals` have none unless asked for it:
what has one is put into a packet by `snowowl.testing.strategies.raw_request`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from hypothesis import strategies as st

from snowowl.testing.strategies.octets import brief

_USUAL: Final = (
    *(b"uImage", b"zImage", b"vmlinuz", b"initrd.img", b"pxelinux.0", b"grubx64.efi", b"boot.scr"),
    *(b"pxelinux.cfg/default", b"pxelinux.cfg/01-52-54-00-12-34-56", b"dtb/board.dtb"),
    *(b"/boot/kernel", b"./uImage", b"config.txt", b"a b", "größe".encode(), b"C0A80001.img"),
)

PARENTS: Final = (
    *(b"..", b"%2e%2e", b".%2e", b"%252e%252e", b"....", b"..;", b"..%00", b". .", b".. ", b"..."),
    *(b"..\xff", b"\xc0\xae\xc0\xae", b"\xe0\x80\xae\xe0\x80\xae", b"\xef\xbc\x8e\xef\xbc\x8e"),
)
"""The parent folder, and what some decoder turns into it: percent, over-long and full-width UTF-8."""

SEPARATORS: Final = (
    *(b"/", b"\\", b"//", b"/./", b"\\/", b"/\\", b"%2f", b"%5c", b"%252f", b"\xc0\xaf"),
    *(b"\xe0\x80\xaf", b"\xef\xbc\x8f", b"\xff/", b" /", b":"),
)
"""Slashes, and what some decoder turns into one."""

_ROOTS: Final = (
    *(
        b"/",
        b"\\",
        b"//",
        b"/./",
        b"C:\\",
        b"C:/",
        b"\\\\?\\C:\\",
        b"file:///",
        b"~/",
        b"/proc/self/root/",
    ),
    *(b"/proc/self/cwd/", b"/dev/fd/../../", b"%2f", b"\xff/"),
)
"""How a name becomes absolute."""

_TARGETS: Final = (b"etc/passwd", b"etc/hostname", b"proc/self/environ", b"windows/win.ini")
_ENDINGS: Final = (b"", b"/", b"/.", b"\xff", b" ", b"\r\n", b"%00", b"%00.img", b";mode=octet")
_NUL_ENDINGS: Final = (b"\0", b"\0.img", b"\0\xff")


def names(*, present: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Return names that boards ask for; those of files that are `present` more often.

    Some are written as boards write them: with a slash before them, in another case, with a
    backslash, with octets 0xFF behind them.
    """
    plain = st.sampled_from((*present, *_USUAL))
    odd = st.one_of(
        plain.map(lambda name: b"/" + name),
        plain.map(lambda name: name + b"\xff"),
        plain.map(lambda name: name.replace(b"/", b"\\")),
        plain.map(bytes.upper),
    )
    usual = st.one_of(plain, odd)
    return st.one_of(st.sampled_from(tuple(present)), usual) if present else usual


def traversals(
    *,
    targets: Sequence[bytes] = _TARGETS,
    inside: Sequence[bytes] = (b"a", b"pxelinux.cfg"),
    nul: bool = False,
) -> st.SearchStrategy[bytes]:
    """Return names that a careless server opens outside of its root.

    They lead to `targets`, which are relative to the root of the file system: up from the root that
    is served, or from a folder `inside` it, or by an absolute path; by slashes, backslashes, percent
    codes, over-long UTF-8, padding and combinations; over-long ones, too.  With a NUL if `nul`.

        b'a/../../../etc/passwd', b'/proc/self/root/etc/hostname', b'..%2f..%2fetc/passwd%00.img'
        b'%2e%2e/' * 16 + b'etc//passwd', b'C:/windows/win.ini', b'../../....//etc/passwd'
    """
    endings = st.sampled_from(_ENDINGS + _NUL_ENDINGS if nul else _ENDINGS)
    begun = st.sampled_from((b"", *(name + b"/" for name in inside), b"/", b"./", b"x/"))
    return st.builds(
        lambda start, target, ending: brief(start + target + ending),
        st.one_of(_plain_climbs(begun), st.sampled_from(_ROOTS), _odd_climbs(begun)),
        st.one_of(st.sampled_from(tuple(targets)), _spelled(tuple(targets))),
        st.one_of(st.just(b""), endings),
    )


def _plain_climbs(begun: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return ways up that need no decoder."""
    depths = st.sampled_from((1, 2, 3, 4, 6, 8, 12))  # beyond the root of all, more do no harm
    return st.builds(lambda start, depth: start + b"../" * depth, begun, depths)


def _odd_climbs(begun: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return ways up in one odd manner, maybe over-long, or in several."""
    steps = st.builds(lambda parent, slash: parent + slash, _parents(), _separators())
    depths = st.one_of(st.integers(1, 4), st.sampled_from((8, 16, 400)))
    alike = st.builds(lambda start, step, depth: start + step * depth, begun, steps, depths)
    mixed = st.builds(
        lambda start, parts: start + b"".join(parts), begun, st.lists(steps, min_size=2, max_size=6)
    )
    return st.one_of(alike, mixed)


@cache
def _parents() -> st.SearchStrategy[bytes]:
    return st.one_of(st.just(b".."), st.sampled_from(PARENTS))


@cache
def _separators() -> st.SearchStrategy[bytes]:
    return st.one_of(st.just(b"/"), st.sampled_from(SEPARATORS))


def _spelled(targets: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Return targets, some with another separator, or doubled ones."""
    return st.builds(
        lambda target, slash: target.replace(b"/", slash), st.sampled_from(targets), _separators()
    )
