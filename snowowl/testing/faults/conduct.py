"""What a client does, as its server sees it: every datagram is noted, and what was wrong of it.

Nothing here knows which fault is played.  What a client may know is only what was delivered to it:
that decides which ACK it can send, which DATA it may send, and what it must not answer.
`Reading` (`reading`) is for downloads, `Writing` (`writing`) for uploads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from enum import Enum
from typing import Final

import attrs

from snowowl.protocol.negotiation import Terms
from snowowl.testing.faults.model import Delivery, Incoming, Kind, Via
from snowowl.wire.codec import Buffer, opcode_of
from snowowl.wire.constants import HEADER_SIZE, ErrorCode, Opcode

QUICK_SECONDS: Final = 0.03
"""Sooner no client's timer fires (busybox has the shortest: 0.05 s): what is sent again so soon was
caused by a datagram."""

AFTER_ERROR_MAX: Final = 2
"""Datagrams after an ERROR that are only a habit (tftp-hpa sends one ACK); more is going on."""

TRACE_MAX: Final = 10_000
"""Datagrams of a transfer that are remembered."""


RECENT: Final = 64
"""Datagrams of which it is remembered when they were sent."""


HEAD_MAX: Final = 64
"""Octets of each that are remembered: an OACK, or the text of an ERROR, fits."""


class Severity(Enum):
    """How wrong something is."""

    LENIENT = "not to the letter"
    WRONG = "wrong"


@attrs.frozen
class Remark:
    """Something that a client should not have done."""

    severity: Severity
    text: str


@attrs.frozen
class Entry:
    """One datagram, or a happening without one."""

    at: float
    """Seconds since the request came."""
    what: str
    """``sent``, ``lost``, ``heard``, ``dropped``, ``request``, ``port closed``."""
    via: Via = Via.OWN
    octets: bytes = b""
    """The beginning of the datagram: `HEAD_MAX` octets at most."""
    size: int = 0
    """Octets of all of it."""


class Conduct(ABC):
    """Notes what goes to and fro in one transfer."""

    def __init__(self, terms: Terms, started: float) -> None:
        self.terms = terms
        self.started = started
        self.trace: list[Entry] = []
        self.remarks: dict[str, Remark] = {}
        self.sent = 0
        """Datagrams that the client was sent, and those of it that came."""
        self.heard = 0
        self.heard_at = started
        self.error_sent: int | None = None
        """The code of the ERROR that ended the transfer for the client."""
        self.error_heard: tuple[int, str] | None = None
        self.heard_after_error = 0
        self.stray_answers: list[str] = []
        """What came to a port of no transfer."""
        self.requests_repeated: list[float] = []
        self.asked_anew = False
        self.waits: list[float] = []
        """After how many seconds the client said again what it had said, by a timer of its own."""
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._under_way = 0
        self.gone = False
        """Its port is closed."""

    # What the stage tells.

    def delivered(self, delivery: Delivery, now: float) -> None:
        """Note a datagram that goes out."""
        self._note(now, "sent", delivery.via, delivery.octets)
        self.sent += 1
        if delivery.via is Via.OWN:
            if opcode_of(delivery.octets) == Opcode.ERROR and len(delivery.octets) >= HEADER_SIZE:
                self.error_sent = int.from_bytes(delivery.octets[2:4], "big")
                recent = [at for at in self._recent if now - at < QUICK_SECONDS]
                self._under_way = len(recent)
            self._recent.append(now)
            self._delivered(delivery, now)

    def lost(self, octets: bytes, now: float) -> None:
        """Note a datagram that was lost on purpose."""
        self._note(now, "lost", Via.OWN, octets)

    def repeated(self, now: float) -> None:
        """Note that the request came again."""
        self._note(now, "request", Via.LISTENING, b"")
        self.requests_repeated.append(now - self.heard_at)
        self.heard_at = now

    def closed(self, now: float) -> None:
        """Note that the client's port is closed."""
        self._note(now, "port closed", Via.OWN, b"")
        self.gone = True

    def stray_closed(self, now: float) -> None:
        """Note that the client's system refused a stray by ICMP: its socket is connected."""
        self._note(now, "port closed", Via.STRAY, b"")
        self.stray_answers.append("ICMP")

    def identify(self, octets: bytes) -> Incoming:
        """Say what a datagram of the client is."""
        opcode = opcode_of(octets)
        if len(octets) < HEADER_SIZE or opcode not in (Opcode.DATA, Opcode.ACK, Opcode.ERROR):
            return Incoming(Kind.OTHER, octets)
        if opcode == Opcode.ERROR:
            return Incoming(Kind.ERROR, octets)
        return self._identify(octets, int.from_bytes(octets[2:4], "big"))

    def hears(self, heard: Incoming, via: Via, now: float, *, dropped: bool) -> None:
        """Note a datagram of the client, and what is wrong of it."""
        self._note(now, "dropped" if dropped else "heard", via, heard.octets)
        self.heard += 1
        self.heard_at = now
        if via is Via.STRAY:
            self._stray_answered(heard)
        elif via is Via.LISTENING:
            self.wrong(f"sent {heard.kind.value} to the listening port instead of the TID")
        elif heard.kind is Kind.ERROR:
            self._error_heard(heard.octets)
        elif self.error_sent is not None:
            self.heard_after_error += 1
        elif self.error_heard is not None:
            self.lenient(f"went on after its own ERROR {self.error_heard[0]}")
        elif heard.kind is Kind.OTHER:
            self.wrong(f"sent what is no packet that belongs here ({_shown(heard.octets)})")
        else:
            self._heard(heard, now)

    # What the two directions fill in.

    @property
    @abstractmethod
    def completed(self) -> bool:
        """The client has said, or could say, that the whole file is there."""

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Completed, and the client has been told all that it waits for."""

    @property
    @abstractmethod
    def growth(self) -> float:
        """Datagrams of the client for each that it had a reason for; 1 is right."""

    @abstractmethod
    def _identify(self, octets: bytes, number: int) -> Incoming: ...

    @abstractmethod
    def _delivered(self, delivery: Delivery, now: float) -> None: ...

    @abstractmethod
    def _heard(self, heard: Incoming, now: float) -> None: ...

    # What they share.

    def conclude(self) -> None:
        """Remark on what only the end shows."""
        # What was on its way when the ERROR was, and what answered what came just before it.
        window = self.terms.windowsize if self.terms.windowsize > 1 else 0
        allowed = max(window, self._under_way)
        if self.heard_after_error > allowed + AFTER_ERROR_MAX:
            self.wrong(f"went on after ERROR {self.error_sent}: {self.heard_after_error} datagrams")
        elif self.heard_after_error > allowed:
            self.lenient(f"answered ERROR {self.error_sent}")

    def _stray_answered(self, heard: Incoming) -> None:
        if heard.kind is not Kind.ERROR:
            self.stray_answers.append(heard.kind.value)
            self.wrong(f"took another port for the server: it was sent {heard.kind.value}")
            return
        code = int.from_bytes(heard.octets[2:4], "big")
        self.stray_answers.append(f"ERROR {code}")
        if code != ErrorCode.UNKNOWN_TID:
            self.lenient(f"answered another port by ERROR {code} instead of 5")

    def _error_heard(self, octets: bytes) -> None:
        if self.error_sent is not None:
            self.lenient(f"answered ERROR {self.error_sent} by an ERROR")
        if self.error_heard is None:
            text = octets[HEADER_SIZE:].partition(b"\0")[0].decode("latin-1")
            self.error_heard = (int.from_bytes(octets[2:4], "big"), text)

    def wrong(self, text: str) -> None:
        """Remark on what is wrong."""
        self.remarks.setdefault(text, Remark(Severity.WRONG, text))

    def lenient(self, text: str) -> None:
        """Remark on what is not to the letter."""
        self.remarks.setdefault(text, Remark(Severity.LENIENT, text))

    def _note(self, now: float, what: str, via: Via, octets: bytes) -> None:
        if len(self.trace) < TRACE_MAX:
            entry = Entry(now - self.started, what, via, octets[:HEAD_MAX], len(octets))
            self.trace.append(entry)


def _shown(octets: Buffer) -> str:
    """Return the beginning of a datagram, for people."""
    head = bytes(octets[:8]).hex(" ")
    return f"{len(octets)} octets{': ' + head if head else ''}"
