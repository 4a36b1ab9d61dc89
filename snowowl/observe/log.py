"""Events as log lines: console, logfmt or JSON.

One line per finished transfer says all that an admin greps for.  What came from the network is
escaped: a file name cannot forge a line, or colour a terminal.

Lines are rendered in the event loop and written by `snowowl.observe.writer`, which may wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from textwrap import indent
from typing import Final, Literal

from snowowl.content.names import display
from snowowl.observe.events import (
    DatagramsDropped,
    DatapathChosen,
    DatapathLowered,
    Event,
    InternalError,
    KeyWithoutEffect,
    ReloadFailed,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsDropped,
    RolloverExpected,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.observe.words import outcome_words, printable, rate_text, size_text
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Options

Format = Literal["console", "logfmt", "json"]
Level = Literal["debug", "info", "warning", "error"]
Fields = dict[str, str | int | float]
Write = Callable[[str], None]
Render = Callable[[Level, str, Fields], str]

Described = (
    DatapathChosen
    | KeyWithoutEffect
    | DatapathLowered
    | DatagramsDropped
    | ServerDraining
    | ServerStopped
    | ServerReloaded
    | ReloadFailed
    | WorkerStarted
    | WorkerEnded
    | RequestReceived
    | RequestMalformed
    | RequestDoubled
    | RequestsDropped
    | RolloverExpected
    | TransferFinished
    | InternalError
)

LEVELS: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_QUIET: Final = (
    OutcomeKind.COMPLETED,
    OutcomeKind.UNCONFIRMED,
    OutcomeKind.PROBED,
    OutcomeKind.SUPERSEDED,
    OutcomeKind.STOPPED,
)


class LogObserver:
    """An observer that writes one line per event, from a level on.

    `worker` is the number of the process that writes, where several write one log.
    """

    def __init__(
        self,
        write: Write,
        *,
        form: Format,
        level: Level,
        colors: bool = False,
        worker: int | None = None,
    ) -> None:
        self._write = write
        self._colors = colors
        self._common: Fields = {} if worker is None else {"worker": worker}
        self.set_form(form, level)

    def set_form(self, form: Format, level: Level) -> None:
        """Write like this from now on."""
        self._threshold = LEVELS[level]
        self._form = form
        self._render = _renderer(form, colors=self._colors, common=self._common)

    def __call__(self, event: Event) -> None:
        """Write the line of an event, if its level is high enough."""
        if isinstance(event, ServerStarted):
            # Said at every level: scripts and units wait for it.
            for address in event.addresses:
                fields: Fields = {"address": address, "root": printable(event.root)}
                if event.workers > 1:
                    fields["workers"] = event.workers
                self._write(self._render("info", f"listening on {address}", fields))
            return
        if self._is_beneath_notice(event):
            return
        level, message, fields = describe(event)
        if LEVELS[level] >= self._threshold:
            self._write(self._render(level, message, fields))

    def _is_beneath_notice(self, event: Described) -> bool:
        """Say of what happens most whether it is not logged: describing it takes 20 us."""
        if isinstance(event, RequestReceived):
            return self._threshold > LEVELS["debug"]
        return (
            isinstance(event, TransferFinished)
            and self._threshold > LEVELS["info"]
            and _is_usual(event.outcome)
        )

    def complain(self, message: str) -> None:
        """Write a warning of the program's own."""
        if LEVELS["warning"] >= self._threshold:
            self._write(self._render("warning", printable(message), {}))

    def give_up(self, message: str) -> None:
        """Write why the program ends.  No level hides this."""
        message = printable(message)
        if self._form == "console":  # a person started it, and reads it: as any command says it
            self._write(f"snowowl: {message}")
        else:
            self._write(self._render("error", message, {}))

    def dropped(self, count: int) -> str:
        """Return the line that says how many were lost."""
        return self._render("warning", f"{count} log lines were lost: nobody read them", {})


def describe(event: Described) -> tuple[Level, str, Fields]:
    """Return level, message and fields of an event."""
    match event:
        case TransferFinished():
            return _transfer_finished(event)
        case RequestReceived(client, direction, filename, mode, options):
            message = f"{direction.value} from {client} filename {display(filename)}"
            fields: Fields = {
                "client": client,
                "file": display(filename),
                "mode": mode.name.lower(),
            }
            return "debug", message, fields | {"options": options_text(options)}
        case RequestMalformed(client, reason, answered):
            level: Level = "info" if answered else "debug"
            message = f"not a request from {client}: {printable(reason)}"
            return level, message, {"client": client}
        case RequestDoubled(client):
            return "debug", f"a request of {client} came again", {"client": client}
        case RequestsDropped(count, reason):
            return "warning", f"dropped {count} requests: {reason}", {"count": count}
        case RolloverExpected(client, filename, blocks, blksize, rollover):
            name = display(filename)
            message = (
                f"RRQ from {client} filename {name}: {blocks} blocks of {blksize} octets, so after"
                f" block 65535 comes block {rollover}, which some boot ROMs do not know;"
                " a larger blksize avoids it"
            )
            return "info", message, {"client": client, "file": name}
        case DatapathChosen() | KeyWithoutEffect() | DatapathLowered() | DatagramsDropped():
            return _describe_datapath(event)
        case ServerDraining(active, seconds):
            message = f"draining: no new requests, {active} transfers get {seconds:g} s"
            return "info", message, {"active": active}
        case ServerStopped():
            return "info", "stopped", {}
        case ServerReloaded() | ReloadFailed() | WorkerStarted() | WorkerEnded():
            return _describe_supervision(event)
        case InternalError(where, traceback):
            message = f"internal error in {where}; the server goes on, please report this"
            # Its lines are ours, but what an exception says may be the network's.
            lines = [printable(line) for line in traceback.splitlines()]
            return "error", message, {"traceback": "\n".join(lines)}


def _describe_datapath(
    event: DatapathChosen | KeyWithoutEffect | DatapathLowered | DatagramsDropped,
) -> tuple[Level, str, Fields]:
    match event:
        case DatapathChosen(rung, features):
            return "debug", f"packets go by {rung}", {"features": " ".join(features) or "none"}
        case KeyWithoutEffect(reason):
            return "warning", reason, {}
        case DatapathLowered(what):
            return "warning", f"a device refuses {what}: done without from now on", {}
        case DatagramsDropped(address, count):
            message = (
                f"the kernel dropped {count} datagrams at {address}: the receive buffer was full"
                " (performance.sockets.recv_buffer_kb, net.core.rmem_max)"
            )
            return "warning", message, {"count": count}


def _describe_supervision(
    event: ServerReloaded | ReloadFailed | WorkerStarted | WorkerEnded,
) -> tuple[Level, str, Fields]:
    match event:
        case ServerReloaded(root, kept):
            fields: Fields = {"root": printable(root)}
            if not kept:
                return "info", "reloaded: new requests are served as now configured", fields
            keys = " and ".join(kept)
            message = f"reloaded, all but {keys}: for a new value the server must be restarted"
            return "warning", message, fields
        case ReloadFailed(reason):
            return "error", f"not reloaded: {printable(reason)}", {}
        case WorkerStarted(worker, pid, replaces_lost):
            level: Level = "info" if replaces_lost else "debug"
            return level, "worker started", {"worker": worker, "pid": pid}
        case WorkerEnded(worker, pid, reason, pause_seconds):
            when = f"in {pause_seconds:g} s" if pause_seconds else "now"
            message = f"worker ended: {printable(reason)}; the next one starts {when}"
            fields = {"worker": worker}
            return "error", message, fields | {"pid": pid} if pid else fields


def options_text(options: Options) -> str:
    """Return options as ``blksize=1428 windowsize=16``, safe to print."""
    return " ".join(f"{display(name, 24)}={display(value, 24)}" for name, value in options)


def _transfer_finished(event: TransferFinished) -> tuple[Level, str, Fields]:
    outcome, name = event.outcome, display(event.filename)
    fields: Fields = {
        "client": event.client,
        "file": name,
        "mode": event.mode.name.lower(),
        "octets": event.octets,
        "seconds": round(event.seconds, 6),
        "rate": rate_text(event.octets, event.seconds),
        "options": options_text(event.granted),
        "retransmitted": event.retransmitted,
        "outcome": outcome.kind.value,
    }
    if outcome.code is not None:
        fields["code"] = outcome.code
    if outcome.message:
        fields["reason"] = printable(outcome.message)
    if event.detail:
        fields["detail"] = printable(event.detail)
    # The words of tftpd-hpa, for the scripts that look for them.
    message = (
        f"{event.direction.value} from {event.client} filename {name}: "
        f"{outcome_words(outcome)}, {size_text(event.octets)} in {event.seconds:.3f} s"
    )
    return "info" if _is_usual(outcome) else "warning", message, fields


def _is_usual(outcome: Outcome) -> bool:
    """Say whether boards that boot end transfers like this, so that nobody need be warned.

    They probe for files that are missing, and GRUB and ROMs close by ERROR 0 a file that they have
    seen enough of.
    """
    if outcome.kind is OutcomeKind.ABORTED and outcome.code == ErrorCode.NOT_DEFINED:
        return True
    return outcome.kind in _QUIET or outcome.code == ErrorCode.FILE_NOT_FOUND


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
