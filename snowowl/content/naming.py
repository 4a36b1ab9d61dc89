"""Names that an upload makes for itself, so that nothing is refused or replaced.  Pure.

A template makes one name for each number; which of them is free, only the file system tells, in
`snowowl.content.temporary`: each is tried, none is looked for.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Iterator
from typing import Final

import attrs

from snowowl.content.errors import ContentError
from snowowl.content.names import COMPONENT_MAX, NameRules, refuse_dotted
from snowowl.wire.constants import ErrorCode

NUMBERS_MAX: Final = 9_999
"""Names that are tried.  Each costs a link that fails, 3 us: 30 ms for all, which a client that
waits for its last ACK does not notice.  Who keeps more files of one name puts {date} into it."""

SUFFIX_MAX: Final = 32
"""Octets of what is taken for a suffix: a name is cut before it, so that it stays what it is."""

_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9._-]+")


@attrs.frozen
class Uploader:
    """Whose upload it is, and when it began: what a name may tell."""

    client: str = ""
    """The peer as the log shows it: ``192.0.2.9:2000`` or ``[fe80::1%eth0]:2000``."""
    when: float = 0.0
    """Seconds of the epoch."""


@attrs.frozen
class Template:
    """Makes names from the one that was asked for.  `text` holds fields in braces."""

    text: str = "{name}.{number}"

    def names(self, name: bytes, uploader: Uploader, rules: NameRules) -> Iterator[bytes]:
        """Yield what to try, in that order.  Raises ContentError for what may not be a name."""
        for number in range(1, NUMBERS_MAX + 1):
            made = self.name(name, uploader, number)
            refuse_dotted(made, rules, writing=True)
            yield made

    def name(self, name: bytes, uploader: Uploader, number: int) -> bytes:
        """Return the name of this number, of at most 255 octets.

        What is too long is cut at the end of the stem.  Raises ContentError if that is not enough.
        """
        stem, suffix = split(name)
        room = len(stem)
        while True:
            made = self._filled(_cut(stem, room), suffix, uploader, number)
            if len(made) <= COMPONENT_MAX and made not in {b"", b".", b".."} and b"/" not in made:
                return made
            if room == 0:
                raise ContentError(
                    ErrorCode.ACCESS_VIOLATION,
                    "access violation",
                    "write.unique_name makes no name that a file can have",
                )
            room = max(0, room - max(1, (len(made) - COMPONENT_MAX) // 2))

    def pattern(self) -> re.Pattern[bytes]:
        """Return what matches the names that this makes; a group `name` or `stem` has what it kept."""
        parts: list[bytes] = []
        seen: set[str] = set()
        for literal, field in self._fields():
            parts.append(re.escape(literal))
            if field in {"name", "stem"} and field not in seen:
                parts.append(rb"(?P<%s>.+?)" % field.encode())
            elif field == "suffix":
                parts.append(rb"(?:\.[^.]*)?")
            elif field in {"number", "port", "date", "time"}:
                parts.append(rb"[0-9]+")
            elif field:
                parts.append(rb".*?")
            seen.add(field)
        return re.compile(b"".join(parts), re.DOTALL)

    def _filled(self, stem: bytes, suffix: bytes, uploader: Uploader, number: int) -> bytes:
        host, port = _address(uploader.client)
        moment = time.gmtime(uploader.when)
        values = {
            "name": stem + suffix,
            "stem": stem,
            "suffix": suffix,
            "client": host,
            "port": port,
            "date": time.strftime("%Y%m%d", moment).encode(),
            "time": time.strftime("%H%M%S", moment).encode(),
            "number": b"%d" % number,
            "": b"",
        }
        return b"".join(literal + values[field] for literal, field in self._fields())

    def _fields(self) -> Iterator[tuple[bytes, str]]:
        for literal, field, _, _ in string.Formatter().parse(self.text):
            yield literal.encode("utf-8", "surrogateescape"), field or ""


def split(name: bytes) -> tuple[bytes, bytes]:
    """Return stem and suffix of a name, which make it up again: `config.tar`, `.gz`."""
    stem, dot, suffix = name.rpartition(b".")
    if not stem.strip(b".") or len(suffix) + 1 > SUFFIX_MAX:
        return name, b""
    return stem, dot + suffix


def _address(client: str) -> tuple[bytes, bytes]:
    """Return host and port as a file name may hold them: without colons and percent signs."""
    host, _, port = client.rpartition(":")
    host = host.strip("[]")
    if host.startswith(":"):  # the same address, and no name that begins like an option of `rm`
        host = f"0{host}"
    safe = [_UNSAFE.sub(b"-", host.replace(":", "-").encode("ascii", "replace"))]
    safe.append(_UNSAFE.sub(b"-", port.encode("ascii", "replace")))
    return safe[0] or b"unknown", safe[1] or b"0"


def _cut(stem: bytes, room: int) -> bytes:
    """Return as much of a stem as there is room for, without a part of a UTF-8 character."""
    if len(stem) <= room:
        return stem
    cut = stem[:room]
    while cut and stem[len(cut)] & 0xC0 == 0x80 and room - len(cut) < 4:
        cut = cut[:-1]
    return cut
