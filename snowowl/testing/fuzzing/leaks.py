"""Octets that must not come: those of files outside of a root, and the server's paths in its errors.

The files are those that every system has, and those that the user names.
Pure.  What is in the file that everybody may read counts for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from snowowl.testing.fuzzing.describe import shown
from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.trace import Trace
from snowowl.wire.constants import HEADER_SIZE, Opcode

MARKERS: Final[dict[str, re.Pattern[bytes]]] = {
    "passwd": re.compile(rb"^root:[^:\n]*:0:0:", re.MULTILINE),
    "shadow": re.compile(rb"^root:[^:\n]*:\d*:\d*:\d*:\d*:", re.MULTILINE),
    "hosts": re.compile(rb"^127\.0\.0\.1[ \t]+localhost", re.MULTILINE),
    "version": re.compile(rb"^Linux version \d"),
    "environ": re.compile(rb"(?:^|\0)(?:PATH|HOME|LANG|PWD)=[^\0]*\0"),
    "win.ini": re.compile(rb"; for 16-bit app support|^\[fonts\]", re.MULTILINE),
    "release": re.compile(rb'^(?:PRETTY_NAME|ID|VERSION_ID)="?[A-Za-z0-9]', re.MULTILINE),
}
"""How files begin that every system has: `script` names ask for them."""

CHUNK: Final = 16
"""Octets of a secret that are enough to know it by."""

SECRET_MIN: Final = 8
SECRET_READ_MAX: Final = 1 << 20

_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9_.+-]+){2,}/?|[A-Za-z]:\\[A-Za-z0-9_.\\ -]+")
_STRINGS_MIN: Final = 3


@attrs.frozen
class Secret:
    """A file outside of the root whose content must never come."""

    path: bytes
    octets: bytes = attrs.field(repr=False)

    def is_in(self, payload: bytes) -> bool:
        """Say whether a payload holds a piece of it."""
        size = min(CHUNK, len(self.octets))
        return any(
            self.octets[start : start + size] in payload
            for start in range(0, len(self.octets) - size + 1, size)
            if len(set(self.octets[start : start + size])) > _STRINGS_MIN
        )


def load_secret(path: Path) -> Secret:
    """Read a secret.  Raises ValueError if it is too short to be known again, and OSError."""
    with path.open("rb") as file:
        octets = file.read(SECRET_READ_MAX)
    secret = Secret(bytes(path.resolve()), octets)
    if len(octets) < SECRET_MIN or not secret.is_in(octets):
        raise ValueError(
            f"{path} is too short or too plain to be recognised: use a line of random text"
        )
    return secret


def judge(trace: Trace, secrets: Sequence[Secret], public: bytes) -> list[Finding]:
    """Return what came that must not; `public` is the content that everybody may have."""
    found: dict[Finding, None] = {}
    for payload in trace.payloads():
        found.update(dict.fromkeys(_leaks(payload, secrets, public)))
    for life in trace.lives:
        sent = b"\0".join(entry.octets for entry in life.sent())
        for entry in life.heard():
            if entry.opcode == Opcode.ERROR:
                found.update(dict.fromkeys(_paths(entry.octets[HEADER_SIZE:], sent)))
    return list(found)


def _leaks(payload: bytes, secrets: Sequence[Secret], public: bytes) -> Iterator[Finding]:
    for secret in secrets:
        if secret.is_in(payload) and not secret.is_in(public):
            said = f"DATA holds octets of {shown(secret.path)}: {shown(payload)}"
            yield Finding(Oracle.LEAK, "secret", said)
    for name, marker in MARKERS.items():
        match = marker.search(payload)
        if match is not None and marker.search(public) is None:
            piece = payload[match.start() : match.start() + 40]
            said = f"DATA looks like a file of the system ({name}): {shown(piece)}"
            yield Finding(Oracle.LEAK, "file", said)
            return


def _paths(text: bytes, sent: bytes) -> Iterator[Finding]:
    """Yield absolute paths in a text whose beginning was not said by the client itself."""
    for match in _PATH.finditer(text):
        beginning = b"/".join(match[0].split(b"/")[:3])
        if beginning not in sent and match[0].split(b"\\")[0] not in sent:
            said = f"ERROR {shown(text.rstrip(bytes(1)))} holds a path of the server"
            yield Finding(Oracle.PATHS, "path-in-error", said)
            return
