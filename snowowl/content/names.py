"""Names from the network become path components (rule R13 of real boot clients).  Pure.

A name is octets, never text, and nothing here looks at a file system: what the components lead to,
and that it lies beneath the root, is decided in `snowowl.content.beneath` alone.
"""

from __future__ import annotations

from typing import Final

import attrs

from snowowl.content.errors import ContentError
from snowowl.wire.constants import ErrorCode

COMPONENT_MAX: Final = 255
"""Octets of one component: NAME_MAX of every file system in common use."""

NAME_MAX: Final = 4095
"""Octets of a whole name: PATH_MAX of Linux less the NUL."""

TEMPORARY_PREFIX: Final = b".snowowl-"
"""How the temporary names of uploads begin.  No peer may read or write one."""

DISPLAY_MAX: Final = 100
"""Characters of a name in a log line: the longest names in use (PXELINUX configurations by UUID
below a vendor's folder) have about 90."""

# Some boot ROMs send the padding of a DHCP option with the name: 0xFF, blanks, line ends.
_PADDING: Final = bytes([*range(1, 0x21), 0x7F, 0xFF])

_PRINTABLE: Final = tuple(
    "\\\\"
    if octet == 0x5C
    else chr(octet)
    # Quotes are escaped as well: the display may be put between any of them.
    if 0x20 <= octet < 0x7F and octet not in b"'\"`"
    else f"\\x{octet:02x}"
    for octet in range(256)
)


@attrs.frozen
class NameRules:
    """How lenient to be with the names that clients send."""

    strip_trailing: bool = True
    """Strip octets 0xFF, white space and control characters after the name."""
    backslash: bool = True
    r"""Read `\` as `/`."""
    hidden: bool = False
    """Let a component begin with a dot.  What a visible link leads to may be hidden all the same: no
    peer can make a link, and volumes of Kubernetes are links into a folder `..data`."""


def components(
    name_untrusted: bytes, rules: NameRules, *, writing: bool = False
) -> tuple[bytes, ...]:
    """Return the components of a name, at least one, none of them empty, `.` or `..`.

    A leading `/` means the root, `//` is `/`, `.` is dropped.  Raises ContentError: for `..`
    wherever it stands, for a NUL, for an empty or too long name, for a hidden one against the rules,
    for a temporary name of an upload.
    """
    name = bytes(name_untrusted)
    if b"\0" in name:  # cannot come out of a request, but a caller's name may be anything
        raise ContentError(ErrorCode.ACCESS_VIOLATION, "access violation", "NUL in the name")
    if rules.strip_trailing:
        name = name.rstrip(_PADDING)
    if rules.backslash:
        name = name.replace(b"\\", b"/")
    if len(name) > NAME_MAX:
        raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found", "the name is too long")
    parts = tuple([part for part in name.split(b"/") if part and part != b"."])
    if not parts:
        raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found", "the name is empty")
    if b".." in parts:
        raise ContentError(
            ErrorCode.ACCESS_VIOLATION, "access violation", "'..' in the name", escape=True
        )
    for part in parts:
        if len(part) > COMPONENT_MAX:
            raise ContentError(
                ErrorCode.FILE_NOT_FOUND, "file not found", "a component of the name is too long"
            )
        if part.startswith(b"."):
            refuse_dotted(part, rules, writing=writing)
    return parts


def refuse_dotted(part: bytes, rules: NameRules, *, writing: bool) -> None:
    """Raise ContentError if a component is hidden against the rules, or a temporary name.

    A reader learns no more than of a file that is missing.
    """
    if part.startswith(TEMPORARY_PREFIX):
        detail = "the name is one of the temporary names of uploads"
    elif part.startswith(b".") and not rules.hidden:
        detail = "the name is hidden (names.hidden)"
    else:
        return
    if writing:
        raise ContentError(ErrorCode.ACCESS_VIOLATION, "access violation", detail)
    raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found", detail)


def display(name_untrusted: bytes, limit: int = DISPLAY_MAX) -> str:
    """Return a name as at most `limit` printable ASCII characters, for logs.

    Escaped as in the repr of bytes, quotes too; a name that is cut ends in `...`.
    """
    # An octet makes one character at least, so no more than limit + 1 of them are looked at.
    shown = [_PRINTABLE[octet] for octet in name_untrusted[: limit + 1]]
    text = "".join(shown)
    if len(text) <= limit and len(name_untrusted) <= limit:
        return text
    room = max(limit - 3, 0)
    kept = 0
    while len(shown[kept]) <= room:  # ends within: all of it is longer than the limit
        room -= len(shown[kept])
        kept += 1
    return "".join(shown[:kept]) + "..."[:limit]
