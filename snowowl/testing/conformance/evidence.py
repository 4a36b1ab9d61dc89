"""What a case sent and what came, and when: so that a verdict can be checked by who gets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from snowowl.testing.conformance.packets import describe

KEPT_MAX: Final = 60
"""Datagrams of a case that are kept at its beginning, and as many at its end."""

OCTETS_MAX: Final = 64
"""Octets of a datagram that are in JSON."""


@attrs.frozen
class Entry:
    """A datagram, or a remark of the case (`direction` is then "note").

    It is put into words only when it is looked at: most never are.
    """

    at: float
    """Seconds since the case began."""
    direction: str
    """"sent", "came" or "note"."""
    local_port: int
    port: int
    """The server's port."""
    octets: bytes
    remark: str = ""

    @property
    def text(self) -> str:
        """Return the datagram in words, or the remark."""
        return self.remark or describe(self.octets)

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "at": round(self.at, 6),
            "direction": self.direction,
            "local_port": self.local_port,
            "port": self.port,
            "text": self.text,
            "size": len(self.octets),
            "octets": self.octets[:OCTETS_MAX].hex(),
        }

    def __str__(self) -> str:
        if self.direction == "note":
            return f"{self.at:9.3f}   {self.text}"
        arrow = "->" if self.direction == "sent" else "<-"
        return f"{self.at:9.3f} {self.local_port:5} {arrow} {self.port:<5} {self.text}"


class Evidence:
    """The datagrams of one case in their order; of long ones, the beginning and the end."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._first: list[Entry] = []
        self._last: list[Entry] = []
        self._left_out = 0

    def add(self, at: float, direction: str, ports: tuple[int, int], octets: bytes) -> None:
        """Add a datagram; `ports` are ours and the server's."""
        self._add(Entry(at - self._began_at, direction, *ports, octets))

    def note(self, at: float, text: str) -> None:
        """Add a remark."""
        self._add(Entry(at - self._began_at, "note", 0, 0, b"", text))

    def entries(self) -> Iterator[Entry]:
        """Yield what was kept."""
        yield from self._first
        if self._left_out:
            text = f"... {self._left_out} datagrams left out ..."
            yield Entry(self._last[0].at, "note", 0, 0, b"", text)
        yield from self._last

    def _add(self, entry: Entry) -> None:
        if len(self._first) < KEPT_MAX:
            self._first.append(entry)
            return
        self._last.append(entry)
        if len(self._last) > 2 * KEPT_MAX:  # in pieces: a case may have a hundred thousand
            self._left_out += KEPT_MAX
            del self._last[:KEPT_MAX]
