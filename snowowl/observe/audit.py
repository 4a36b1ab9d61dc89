r"""The audit stream: what happened, as lines of JSON for programs, version 1.

Each line is an object in ASCII with these members; `examples/deploy/audit-schema.json` says the same
as a JSON Schema.  Members may be added within a version, and events; none changes its meaning.

| member | in | means |
|---|---|---|
| `v` | all | the version of the schema: 1 |
| `time` | all | RFC 3339, UTC, milliseconds |
| `event` | all | one of the table below |
| `process` | all | the PID of who writes; with `id` it names a request |
| `worker` | all of workers | the number of the worker, where several processes serve |
| `id` | requests, transfers | counts the requests of a process |
| `client` | requests, transfers, refusals | `ADDR:PORT` or `[v6]:PORT`; of several, one of them |
| `direction` | requests, transfers | `read` (RRQ) or `write` (WRQ) |
| `file`, `stored` | requests, transfers | the name that was asked for; the one an upload got |
| `file_hex`, `stored_hex` | where needed | the octets of that name, in hexadecimal, 4096 at most |
| `mode`, `options` | requests, transfers | as asked for, from `transfer-started` on as granted |
| `size` | `transfer-started` | octets, where they are known before |
| `octets`, `seconds`, `retransmitted` | ends of transfers | payload; since the request; datagrams |
| `outcome` | ends, `denied` | as in the log: completed, unconfirmed, aborted, timed out... |
| `code`, `reason`, `detail` | where something failed | TFTP code; what the peer was told; and was not |
| `count` | what is told together | how many, since it was told last |

A name is exact if it has no `_hex` beside it: it is printable UTF-8 then.  Else it is escaped to
printable ASCII and may be cut, and ``bytes.fromhex(line["file_hex"])`` gives its octets back.

| event | when |
|---|---|
| `server-started`, `server-draining`, `server-stopped` | once each; by the supervisor, if there is one |
| `server-reloaded`, `reload-failed` | at SIGHUP |
| `worker-started`, `worker-ended` | a worker that was killed writes no ends of its transfers |
| `request` | admitted |
| `denied` | a request that no transfer came of: refused, stopped, or overtaken by the next one; |
| | without `id`, but with `count`: the network is not served (`reason` is `network`) |
| `limit-hit` | refused, or not answered: `limit` names the limit (see `Refusal`) |
| `requests-malformed` | what came was no request |
| `traversal-attempt` | a name would have led out of the root; its `denied` comes too |
| `transfer-started` | followed by exactly one of the next two, with the same `process` and `id` |
| `transfer-completed` | `outcome` completed, unconfirmed or probed |
| `transfer-failed` | any other |
| `upload-stored` | the file is there; its `transfer-completed` comes too |
| `upload-refused` | a WRQ that we refused, at once or later; `denied` or `transfer-failed` comes too |
| `internal-error` | a bug of ours; the log has more |
| `lines-lost` | lines of this stream that could not be written (disk full, nobody reads) |

What a peer can send without being served is told together: the first `requests-malformed` or
`limit-hit` at once, then one line a minute for all that came since.  Doubled requests are not told.

A program that embeds the server has the same lines by
``snowowl.serve(config, observers=[AuditObserver(writer.write)])``, with a `LineWriter` that it runs,
or in a file of its own by `snowowl.observe.audit_file.AuditStream`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs

from snowowl.content.names import display
from snowowl.observe.describe import options_text
from snowowl.observe.events import (
    Direction,
    Event,
    InternalError,
    Refusal,
    ReloadFailed,
    RequestMalformed,
    RequestReceived,
    RequestsRefused,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    TransferFinished,
    TransferStarted,
    TraversalAttempted,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.observe.words import printable
from snowowl.protocol.outcome import OutcomeKind

VERSION: Final = 1

REPEAT_SECONDS: Final = 60.0
"""Between two lines of what is told together."""

_HEX_MAX: Final = 4096
"""Octets of a name that are told: no file of Linux has a longer path (PATH_MAX)."""

COMPLETED: Final = frozenset({OutcomeKind.COMPLETED, OutcomeKind.UNCONFIRMED, OutcomeKind.PROBED})
"""What a peer that got all it wanted ends in."""

DIRECTIONS: Final = {Direction.READ: "read", Direction.WRITE: "write"}

Value = str | int | float | bool | list[str]
Members = dict[str, Value]
Record = tuple[str, Members]
"""The name of an event, and its members but for those that all have."""


def records(event: Event) -> list[Record]:
    """Return what the audit stream says of an event: nothing, one record, or two."""
    match event:
        case TransferFinished():
            return _finished(event)
        case TransferStarted():
            members = _transfer(event) | _size(event.size)
            return [("transfer-started", members | {"options": options_text(event.granted)})]
        case RequestReceived():
            options = options_text(event.options)
            return [("request", _transfer(event) | {"options": options})]
        case TraversalAttempted(client, direction, filename):
            members = {"client": client, "direction": DIRECTIONS[direction]}
            return [("traversal-attempt", members | name_members("file", filename))]
        case RequestsRefused(refusal, count, client):
            members = {"count": count, "client": client}
            if refusal is Refusal.NETWORK:
                return [("denied", members | {"reason": refusal.value})]
            return [("limit-hit", members | {"limit": refusal.value})]
        case RequestMalformed(client, reason):
            members = {"count": 1, "client": client, "reason": printable(reason)}
            return [("requests-malformed", members)]
        case InternalError(where):
            return [("internal-error", {"where": where})]
        case _:
            return _of_server(event)


def _of_server(event: Event) -> list[Record]:
    match event:
        case ServerStarted(addresses, root, workers):
            members: Members = {"addresses": list(addresses), "root": printable(root)}
            return [("server-started", members | {"workers": workers})]
        case ServerDraining(active, seconds):
            return [("server-draining", {"active": active, "drain_seconds": seconds})]
        case ServerStopped():
            return [("server-stopped", {})]
        case ServerReloaded(root, kept, changed):
            members = {"root": printable(root), "kept": list(kept)}
            return [
                ("server-reloaded", members | {"changed": [printable(each) for each in changed]})
            ]
        case ReloadFailed(reason):
            return [("reload-failed", {"reason": printable(reason)})]
        case WorkerStarted(worker, pid, replaces_lost):
            members = {"started_worker": worker, "started_process": pid}
            return [("worker-started", members | {"replaces_lost": replaces_lost})]
        case WorkerEnded(worker, pid, reason):
            members = {"ended_worker": worker, "ended_process": pid}
            return [("worker-ended", members | {"reason": printable(reason)})]
        case _:
            return []


def _transfer(event: RequestReceived | TransferStarted | TransferFinished) -> Members:
    members: Members = {
        "id": event.number,
        "client": event.client,
        "direction": DIRECTIONS[event.direction],
    }
    return members | name_members("file", event.filename) | {"mode": event.mode.name.lower()}


def _size(size: int | None) -> Members:
    return {} if size is None else {"size": size}


def _finished(event: TransferFinished) -> list[Record]:
    outcome = event.outcome
    members = _transfer(event) | {"outcome": outcome.kind.value}
    failure: Members = {}
    if outcome.code is not None:
        failure["code"] = outcome.code
    if outcome.message:
        failure["reason"] = printable(outcome.message)
    if event.detail:
        failure["detail"] = printable(event.detail)
    told: list[Record] = []
    if event.started:
        end = "transfer-completed" if outcome.kind in COMPLETED else "transfer-failed"
        counts: Members = {
            "octets": event.octets,
            "seconds": round(event.seconds, 6),
            "retransmitted": event.retransmitted,
            "options": options_text(event.granted),
        }
        told.append((end, members | counts | failure))
    else:
        told.append(("denied", members | failure))
    if event.direction is Direction.WRITE:
        if event.started and outcome.kind is OutcomeKind.COMPLETED:
            stored = name_members("stored", event.stored or event.filename)
            told.append(("upload-stored", members | stored | {"octets": event.octets}))
        elif outcome.kind is OutcomeKind.REFUSED:
            told.append(("upload-refused", members | failure))
    return told


def name_members(member: str, name_untrusted: bytes) -> Members:
    """Return a name: as it is, if that is printable UTF-8, else escaped, and with its octets."""
    try:
        text = name_untrusted.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable() and len(name_untrusted) <= _HEX_MAX:
        return {member: text}
    octets = name_untrusted[:_HEX_MAX].hex()
    return {member: display(name_untrusted), f"{member}_hex": octets}


@attrs.define
class _Repeat:
    """What is told together: when that is due, and what to say."""

    due: float
    count: int = 0
    record: Record | None = None


class AuditObserver:
    """An observer that writes one line or two for each event that the audit stream tells of.

    `write` takes a line without its end; it must not block (`snowowl.observe.writer.LineWriter`).
    `worker` is the number of the process that writes, where several serve.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        worker: int | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write
        self._now = now
        self._common: Members = {"process": os.getpid()}
        if worker is not None:
            self._common["worker"] = worker
        self._repeats: dict[str, _Repeat] = {}

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        if isinstance(event, ServerStopped):
            self.flush()
        told = records(event)
        if not told:
            return
        if isinstance(event, RequestMalformed):
            self._take_repeat(told[0])
            return
        for record in told:
            self._write(self.line(record))

    def flush(self, *, due_only: bool = False) -> None:
        """Write what is told together and was not told yet; `due_only`: if its minute is over."""
        now = self._now().timestamp()
        for repeat in self._repeats.values():
            if repeat.record is None or (due_only and now < repeat.due):
                continue
            name, members = repeat.record
            self._write(self.line((name, members | {"count": repeat.count})))
            repeat.due, repeat.count, repeat.record = now + REPEAT_SECONDS, 0, None

    def line(self, record: Record) -> str:
        """Return a record as it is written: one line of ASCII."""
        name, members = record
        time = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head: Members = {"v": VERSION, "time": time, "event": name}
        return json.dumps(head | self._common | members, separators=(",", ":"))

    def lost(self, count: int) -> str:
        """Return the line that says how many were lost."""
        return self.line(("lines-lost", {"count": count}))

    def _take_repeat(self, record: Record) -> None:
        name, members = record
        kind = f"{name} {members.get('reason') if name == 'limit-hit' else ''}"
        # An infinite past: the first is told at once.
        repeat = self._repeats.setdefault(kind, _Repeat(float("-inf")))
        count = members["count"]
        assert isinstance(count, int)
        repeat.count += count
        repeat.record = record
        self.flush(due_only=True)
