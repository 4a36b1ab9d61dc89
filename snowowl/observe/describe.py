"""Events in words: each a level, a message for people, and fields for programs.

What came from the network is escaped here: a file name cannot forge a line, or colour a terminal.
How a line looks is in `snowowl.observe.log`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from snowowl.content.names import display
from snowowl.observe.events import (
    AccessNarrowed,
    Confined,
    DatagramsDropped,
    DatapathChosen,
    DatapathLowered,
    Described,
    InternalError,
    KeyWithoutEffect,
    LinesLost,
    MetricsOffered,
    PrivilegesDropped,
    Refusal,
    ReloadFailed,
    RequestDoubled,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
    RolloverExpected,
    SafetyMissing,
    ServerDraining,
    ServerReloaded,
    ServerStopped,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.observe.words import outcome_words, printable, rate_text, size_text
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Options

Level = Literal["debug", "info", "warning", "error"]
Fields = dict[str, str | int | float]

_QUIET: Final = (
    OutcomeKind.COMPLETED,
    OutcomeKind.UNCONFIRMED,
    OutcomeKind.PROBED,
    OutcomeKind.SUPERSEDED,
    OutcomeKind.GAVE_WAY,
    OutcomeKind.STOPPED,
)


_REFUSALS: Final[Mapping[Refusal, str]] = {
    Refusal.NETWORK: "their network is not served (access.allow, access.deny)",
    Refusal.REQUESTS: "too many that nobody answers (limits.requests_per_second)",
    Refusal.UNANSWERED: "others without an answer took their place (limits.unanswered_max)",
    Refusal.ERRORS: "no ERROR was sent, there were too many (limits.errors_per_second)",
    Refusal.TRANSFERS: "too many transfers (limits.transfers_max)",
    Refusal.CLIENT_TRANSFERS: "too many transfers of one client (limits.client_transfers_max)",
    Refusal.UPLOADS: "too many uploads (limits.uploads_max)",
    Refusal.OPEN_FILES: "too many open files (limits.open_files_max)",
    Refusal.UPLOAD_SIZE: "uploads too large (write.size_max)",
    Refusal.QUOTA: "uploads beyond the quota (write.quota)",
    Refusal.FREE_SPACE: "uploads for which too little space is free (write.free_min)",
    Refusal.QUEUE: "too many at once",
}


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
        case RequestsRefused(refusal, count, client):
            message = f"refused {count} requests: {_REFUSALS[refusal]}; one was of {client}"
            fields = {"count": count, "refusal": refusal.value, "client": client}
            return "warning", message, fields
        case TraversalAttempted(client, direction, filename):
            name = display(filename)
            message = f"{direction.value} from {client} filename {name}: tried to leave the root"
            return "warning", message, {"client": client, "file": name}
        case TransferStarted():
            return _transfer_started(event)
        case RolloverExpected(client, filename, blocks, blksize, rollover):
            name = display(filename)
            message = (
                f"RRQ from {client} filename {name}: {blocks} blocks of {blksize} octets, so after"
                f" block 65535 comes block {rollover}, which some boot ROMs do not know;"
                " a larger blksize avoids it"
            )
            return "info", message, {"client": client, "file": name}
        case MetricsOffered(address):
            address = printable(address)
            where = address if address.startswith("unix:") else f"http://{address}/metrics"
            return "info", f"metrics at {where}", {"metrics": address}
        case DatapathChosen() | KeyWithoutEffect() | DatapathLowered() | DatagramsDropped():
            return _describe_datapath(event)
        case PrivilegesDropped() | Confined() | SafetyMissing() | AccessNarrowed():
            return _describe_safety(event)
        case ServerDraining(active, seconds):
            message = f"draining: no new requests, {active} transfers get {seconds:g} s"
            return "info", message, {"active": active}
        case ServerStopped():
            return "info", "stopped", {}
        case ServerReloaded() | ReloadFailed() | WorkerStarted() | WorkerEnded():
            return _describe_supervision(event)
        case LinesLost(what, count, reason):
            message = f"{count} lines of {what} were lost: {printable(reason)}"
            return "error", message, {"count": count}
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
            return "warning", printable(reason), {}
        case DatapathLowered(what):
            return "warning", f"a device refuses {what}: done without from now on", {}
        case DatagramsDropped(address, count):
            message = (
                f"the kernel dropped {count} datagrams at {address}: the receive buffer was full"
                " (performance.sockets.recv_buffer_kb, net.core.rmem_max)"
            )
            return "warning", message, {"count": count}


def _describe_safety(
    event: PrivilegesDropped | Confined | SafetyMissing | AccessNarrowed,
) -> tuple[Level, str, Fields]:
    match event:
        case PrivilegesDropped(user, group):
            return "info", f"became user {printable(user)}, group {printable(group)}", {}
        case Confined(abi, folders):
            message = f"confined by Landlock to {', '.join(map(printable, folders))}"
            return "debug", message, {"abi": abi}
        case SafetyMissing(reason):
            return "warning", printable(reason), {}
        case AccessNarrowed(addresses):
            message = (
                f"{' and '.join(addresses)}: public, so only clients with private addresses are"
                " served there (access.allow)"
            )
            return "warning", message, {}


def _describe_supervision(
    event: ServerReloaded | ReloadFailed | WorkerStarted | WorkerEnded,
) -> tuple[Level, str, Fields]:
    match event:
        case ServerReloaded(root, kept, changed):
            fields: Fields = {"root": printable(root)}
            if changed:
                fields["changed"] = "; ".join(map(printable, changed))
            if not kept and not changed:
                return "info", "reloaded: the configuration has not changed", fields
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


def _transfer_started(event: TransferStarted) -> tuple[Level, str, Fields]:
    name = display(event.filename)
    fields: Fields = {"client": event.client, "file": name, "mode": event.mode.name.lower()}
    if event.size is not None:
        fields["size"] = event.size
    fields["options"] = options_text(event.granted)
    message = f"{event.direction.value} from {event.client} filename {name}: started"
    return "debug", message, fields


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
    stored = display(event.stored)
    if event.stored and event.stored != event.filename.lstrip(b"/"):
        fields["stored"] = stored
    # The words of tftpd-hpa, for the scripts that look for them.
    message = (
        f"{event.direction.value} from {event.client} filename {name}: "
        f"{outcome_words(outcome)}, {size_text(event.octets)} in {event.seconds:.3f} s"
    )
    if outcome.kind is OutcomeKind.GAVE_WAY:  # there are thousands; `RequestsRefused` tells of them
        return "debug", message, fields
    if event.refusal is not None:  # one of many, that are told together
        return "debug", message, fields | {"refusal": event.refusal.value}
    return "info" if is_usual(outcome) else "warning", message, fields


def is_usual(outcome: Outcome) -> bool:
    """Say whether boards that boot end transfers like this, so that nobody need be warned.

    They probe for files that are missing, and GRUB and ROMs close by ERROR 0 a file that they have
    seen enough of.
    """
    if outcome.kind is OutcomeKind.ABORTED and outcome.code == ErrorCode.NOT_DEFINED:
        return True
    return outcome.kind in _QUIET or outcome.code == ErrorCode.FILE_NOT_FOUND
