"""Events as log lines: console, logfmt or JSON; or as entries of the systemd journal.

One line per finished transfer says all that an admin greps for; a flood of requests that come to
nothing has its lines counted instead (`snowowl.observe.cap`).  What came from the network is
escaped: a file name cannot forge a line, or colour a terminal.

Lines are rendered in the event loop and written by `snowowl.observe.writer`, which may wait; entries
go out at once, or are lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from textwrap import indent
from typing import Final, Literal

from snowowl.observe.cap import LineCap
from snowowl.observe.describe import Fields, Level, describe, is_usual
from snowowl.observe.events import (
    Described,
    Event,
    RequestReceived,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    TransferStarted,
)
from snowowl.observe.journal import Journal, entry_of
from snowowl.observe.words import printable

Format = Literal["console", "logfmt", "json", "journal"]
Write = Callable[[str], None]
Render = Callable[[Level, str, Fields], str]

_FREQUENT: Final = (RequestReceived, TransferStarted)
"""With a tuple that is made once: `A | B` is made anew each time, and takes longer than the look."""

_OWN_MAX: Final = 4 * 4096
"""Characters of what the program says of itself: some paths of PATH_MAX."""

LEVELS: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogObserver:
    """An observer that writes one line per event, from a level on.

    `worker` is the number of the process that writes, where several write one log.  `journal` is for
    the form "journal"; where there is none, that form is the console's.
    """

    def __init__(
        self,
        write: Write,
        *,
        form: Format,
        level: Level,
        colors: bool = False,
        worker: int | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._cap = LineCap(clock)
        self._journal = journal
        self._colors = colors
        self._common: Fields = {} if worker is None else {"worker": worker}
        self.set_form(form, level)

    def set_form(self, form: Format, level: Level) -> None:
        """Write like this from now on."""
        self._threshold = LEVELS[level]
        self._form = form
        self._render = _renderer(form, colors=self._colors, common=self._common)
        self._enters = form == "journal" and self._journal is not None

    def _tell(self, level: Level, message: str, fields: Fields, kind: str) -> None:
        """Write a line, or send an entry."""
        journal = self._journal if self._enters else None
        if journal is None:
            self._write(self._render(level, message, fields))
            return
        common = fields | self._common
        if not journal.send(entry_of(level, message, common, kind)) or not journal.dropped:
            return
        dropped, journal.dropped = journal.dropped, 0
        lost = f"{dropped} log lines were lost: the journal was full or away"
        journal.send(entry_of("warning", lost, {"count": dropped, **self._common}, "LinesLost"))

    def __call__(self, event: Event) -> None:
        """Write the line of an event, if its level is high enough."""
        if isinstance(event, ServerStarted):
            # Said at every level: scripts and units wait for it.
            for address in event.addresses:
                fields: Fields = {"address": address, "root": printable(event.root)}
                if event.workers > 1:
                    fields["workers"] = event.workers
                self._tell("info", f"listening on {address}", fields, "ServerStarted")
            return
        if self._is_beneath_notice(event):
            return
        level, message, fields = describe(event)
        if LEVELS[level] >= self._threshold and self._cap.allows(event):
            self._tell(level, message, fields, type(event).__name__)
        self.tell_left_out(at_last=isinstance(event, ServerStopped))

    def tell_left_out(self, *, at_last: bool = True) -> None:
        """Tell how many lines were left out; not more often than once a minute, but `at_last`."""
        left_out = self._cap.left_out(at_last=at_last)
        if left_out:
            message = f"{left_out} lines were left out: of requests that came to nothing, too many"
            self._tell("warning", message, {"count": left_out}, "")

    def _is_beneath_notice(self, event: Described) -> bool:
        """Say of what happens most whether it is not logged: describing it takes 20 us."""
        if isinstance(event, _FREQUENT):
            return self._threshold > LEVELS["debug"]
        return (
            isinstance(event, TransferFinished)
            and self._threshold > LEVELS["info"]
            and is_usual(event.outcome)
        )

    def complain(self, message: str) -> None:
        """Write a warning of the program's own."""
        if LEVELS["warning"] >= self._threshold:
            self._tell("warning", printable(message, _OWN_MAX), {}, "")

    def give_up(self, message: str) -> None:
        """Write why the program ends.  No level hides this."""
        message = printable(message, _OWN_MAX)
        if self._form == "console":  # a person started it, and reads it: as any command says it
            self._write(f"snowowl: {message}")
        else:
            self._tell("error", message, {}, "")

    def dropped(self, count: int) -> str:
        """Return the line that says how many were lost."""
        return self._render("warning", f"{count} log lines were lost: nobody read them", {})


def _logfmt_value(text: str) -> str:
    """Quote a value of logfmt.

    structlog's renderer leaves backslashes as they are: with one before a quote, a value could end
    itself and go on as the next key.
    """
    if text and not any(char in text for char in ' ="\\\n'):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _renderer(form: Format, *, colors: bool, common: Fields) -> Render:
    """Make the function that turns a line's parts into its text.  Imports structlog: slow.

    Every line has the `common` fields.
    """
    import structlog

    json = structlog.processors.JSONRenderer(ensure_ascii=False)
    console = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, sort_keys=False)

    def render(level: Level, message: str, fields: Fields) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry: dict[str, object] = {"timestamp": now, "level": level, "event": message}
        entry |= fields | common
        if form == "json":
            return str(json(None, level, entry))
        if form == "logfmt":
            return " ".join(f"{key}={_logfmt_value(str(value))}" for key, value in entry.items())
        # The message holds these already.
        for key in ("address", "client", "file", "seconds", "octets", "outcome", "reason", "code"):
            entry.pop(key, None)
        traceback = entry.pop("traceback", None)
        line = str(
            console(None, level, {key: value for key, value in entry.items() if value != ""})
        )
        # Indented: no line of it can pass for one of the log.
        return line if traceback is None else f"{line}\n{indent(str(traceback), '    ')}"

    return render
