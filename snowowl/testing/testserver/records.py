"""What a server was asked for, and what came of it: written by the server's thread, read by tests.

An observer of the server's events.  Nothing here starts a thread or opens a socket.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import attrs

from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules, components
from snowowl.observe.describe import describe, options_text
from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    RequestMalformed,
    RequestReceived,
    ServerStarted,
    TransferFinished,
)
from snowowl.observe.words import outcome_words, printable, size_text
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import Mode, Options

EVENTS_MAX: Final = 10_000
"""Events that are kept for the log: a session of many boots, some MB."""

_COMPLETE: Final = (OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED)

Found = TypeVar("Found")


class ServerFailedError(Exception):
    """The server under a test has ended by itself, or met a bug of its own; `__cause__` is why."""


@attrs.frozen
class Transfer:
    """One request, and what has come of it so far: a picture, which does not change."""

    number: int
    """Requests are counted from 0 on, in the order in which they came."""
    client: str
    """Who asked: ``192.0.2.7:1042``."""
    direction: Direction
    name: str
    """The file that is meant, relative to the root: without a leading `/`, with `/` for a backslash,
    without the padding of boot ROMs.  A name that cannot be one (`..`) is as it was sent."""
    filename: bytes
    """The name as it was sent."""
    mode: Mode
    options: Options
    """The options that were asked for, in that order."""
    at: float
    """Seconds since the server started."""
    granted: Options = ()
    octets: int = 0
    """Octets of the file that were transferred."""
    seconds: float = 0.0
    retransmitted: int = 0
    outcome: Outcome | None = None
    """None as long as it runs."""
    detail: str = ""
    """What the client was not told of the reason."""

    @property
    def ended(self) -> bool:
        """It is over, one way or another."""
        return self.outcome is not None

    @property
    def complete(self) -> bool:
        """Every octet was sent, or received and stored.

        Also if only the client's last ACK is missing: boot loaders that jump into what they have
        got do not stay to send it again.
        """
        return self.outcome is not None and self.outcome.kind in _COMPLETE

    @property
    def asked(self) -> dict[str, str]:
        """The options that were asked for, as text."""
        return _as_text(self.options)

    @property
    def got(self) -> dict[str, str]:
        """The options that were granted, as text."""
        return _as_text(self.granted)

    def __str__(self) -> str:
        """Return one line: when, who, what, which options, and how it ended."""
        if self.outcome is None:
            end = "is running"
        else:
            end = f"{outcome_words(self.outcome)}, {size_text(self.octets)} in {self.seconds:.3f} s"
            if self.retransmitted:
                end += f", {self.retransmitted} retransmitted"
            if self.detail:
                end += f" ({printable(self.detail)})"
        asked = options_text(self.options)
        options = f" [{asked}]" if asked else ""
        what = f"{self.direction.value} from {self.client} {printable(self.name)}{options}"
        return f"{self.at:8.3f} s  {what}: {end}"


def _as_text(options: Options) -> dict[str, str]:
    return {
        name.decode("ascii", "backslashreplace"): value.decode("ascii", "backslashreplace")
        for name, value in options
    }


class Stop:
    """A wait that nobody waits for any more."""

    def __init__(self) -> None:
        self.stopped = False


class Records:
    """Takes the events of one server; lets threads wait for what they bring."""

    def __init__(self, rules: NameRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._began = clock()
        self._changed = threading.Condition()
        self._events: deque[tuple[float, Event]] = deque(maxlen=EVENTS_MAX)
        self._transfers: dict[int, Transfer] = {}
        self._count = 0
        self._asked_at: dict[int, float] = {}
        """When those that run were asked for."""
        self._changed_at = self._began
        self._failure: BaseException | None = None
        self._bugs: list[str] = []
        self._noise = 0
        self._noise_last = ""

    def __call__(self, event: Event) -> None:
        """Take an event.  For the server's thread.  Raises nothing: a bug here fails the test."""
        try:
            self._take(event, self._clock())
        except Exception as error:  # noqa: BLE001 - as said
            self.fail(error)

    def _take(self, event: Event, now: float) -> None:
        with self._changed:
            self._events.append((now, event))
            self._changed_at = now
            match event:
                case ServerStarted():
                    self._began = now
                case RequestReceived():
                    self._begin(event, now)
                case TransferFinished():
                    self._finish(event, now)
                case RequestMalformed(client, reason):
                    self._noise += 1
                    self._noise_last = f"from {client}: {printable(reason)}"
                case InternalError(where, traceback):
                    self._bugs.append(f"in {where}:\n{traceback}")
                case _:
                    pass
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Note that the server has ended by itself."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def check(self) -> None:
        """Raise ServerFailedError if the server has ended by itself or met a bug of its own."""
        if self._failure is not None:
            raise ServerFailedError(f"the server ended: {self._failure!r}") from self._failure
        if self._bugs:
            raise ServerFailedError(
                f"the server met {len(self._bugs)} bugs of its own, the first one {self._bugs[0]}"
            )

    def forget(self) -> None:
        """Forget all requests; those that still run, too."""
        with self._changed:
            self._transfers.clear()
            self._asked_at.clear()
            self._noise = 0

    def noise(self) -> str:
        """Say how many datagrams were no requests, and what was wrong with the last; "" if none."""
        with self._changed:
            if not self._noise:
                return ""
            return f"{self._noise} datagrams were no requests, the last one {self._noise_last}"

    def transfers(self) -> tuple[Transfer, ...]:
        """Return all requests, in the order in which they came."""
        with self._changed:
            return tuple(self._transfers.values())

    def quiet_since(self) -> float | None:
        """Return when the last event came, by the clock; None while a transfer runs."""
        return None if self._asked_at else self._changed_at

    def wait(self, look: Callable[[], Found | None], seconds: float, stop: Stop) -> Found | None:
        """Return what is found, looking again whenever something happens; None in time or if stopped.

        `look` is called with the records held still.  Raises ServerFailedError; ValueError for NaN.
        """
        end = self._clock() + _number("timeout", seconds)
        with self._changed:
            while True:
                found = look()
                if found is not None:
                    return found
                self.check()
                left = end - self._clock()
                if left <= 0 or stop.stopped:
                    return None
                self._changed.wait(min(left, threading.TIMEOUT_MAX))

    def wait_quiet(self, quiet_seconds: float, seconds: float, stop: Stop) -> bool:
        """Wait until nothing runs and nothing has come for so long; say whether it was so in time."""
        quiet_seconds = _number("seconds", quiet_seconds)
        end = self._clock() + _number("timeout", seconds)
        with self._changed:
            while True:
                self.check()
                now, since = self._clock(), self.quiet_since()
                if since is not None and now - since >= quiet_seconds:
                    return True
                if now >= end or stop.stopped:
                    return False
                until = end if since is None else min(end, since + quiet_seconds)
                self._changed.wait(min(until - now, threading.TIMEOUT_MAX))

    def stop(self, stop: Stop) -> None:
        """End a wait."""
        with self._changed:
            stop.stopped = True
            self._changed.notify_all()

    def log(self, since: float = 0.0) -> str:
        """Return what the server had to say since a time of the clock, a line for each event."""
        with self._changed:
            events, began = list(self._events), self._began
        return "\n".join(
            f"{at - began:8.3f} s  {_line(event)}" for at, event in events if at >= since
        )

    def _begin(self, event: RequestReceived, now: float) -> None:
        transfer = Transfer(
            number=self._count,
            client=event.client,
            direction=event.direction,
            name=self._name(event.filename),
            filename=event.filename,
            mode=event.mode,
            options=event.options,
            at=now - self._began,
        )
        self._transfers[self._count] = transfer
        self._asked_at[self._count] = now
        self._count += 1

    def _finish(self, event: TransferFinished, now: float) -> None:
        """Note the end of a request: the one that came when this says it did, if one client asked twice."""
        since = now - event.seconds
        alike = [
            number
            for number in self._asked_at
            if (
                (transfer := self._transfers[number]).client,
                transfer.direction,
                transfer.filename,
            )
            == (event.client, event.direction, event.filename)
        ]
        if not alike:  # it was forgotten
            return
        number = min(alike, key=lambda number: abs(self._asked_at[number] - since))
        del self._asked_at[number]
        self._transfers[number] = attrs.evolve(
            self._transfers[number],
            granted=event.granted,
            octets=event.octets,
            seconds=event.seconds,
            retransmitted=event.retransmitted,
            outcome=event.outcome,
            detail=event.detail,
        )

    def _name(self, filename: bytes) -> str:
        try:
            name = b"/".join(components(filename, self._rules))
        except ContentError:
            name = filename
        return name.decode("utf-8", "surrogateescape")


def _number(name: str, seconds: float) -> float:
    """Return a time to wait.  Raises ValueError for NaN, at which no wait would end."""
    if math.isnan(seconds):
        raise ValueError(f"{name} is nan, which is no number of seconds")
    return seconds


def _line(event: Event) -> str:
    if isinstance(event, ServerStarted):
        return f"serving {event.root} at {', '.join(event.addresses)}"
    _, message, fields = describe(event)
    shown: Mapping[str, str | int | float] = {
        key: fields[key]
        for key in ("options", "retransmitted", "detail", "traceback")
        if fields.get(key)
    }
    return " ".join([message, *(f"{key}={value}" for key, value in shown.items())])
