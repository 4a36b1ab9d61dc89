"""The suite against the field: one table, cases by servers.

    python -m tests.conformance.peers [--only NAME] [--long] [--out FILE]

Best as root, as tftpd-hpa and dnsmasq want it.  All servers are tried at the same time: most of it is
waiting for their timers.  A server that a case ends is started again, and the
cases after it are run on the new one: so each has a whole column.  What the table means is said in
`notes.md`, by hand: it stands at the top of what is written.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import attrs
import trio

from snowowl.datagram.system import SystemNetwork
from snowowl.testing.conformance import (
    CannotRunError,
    Case,
    Report,
    Result,
    Settings,
    Target,
    Verdict,
    all_cases,
    choose,
    run_suite,
)
from snowowl.testing.simnetwork import socket_address
from tests.peers import processes
from tests.peers.servers import MAKERS, Server, snowowl
from tests.peers.workspace import UnusableError, Workspace, default_folder

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "RESULTS.md"
NOTES: Final = HERE / "notes.md"
STARTS_MAX: Final = 40
READY_SECONDS: Final = 20.0
LOCK: Final = Path(tempfile.gettempdir()) / "dnsmasq.lock"
"""One dnsmasq at a time: it has a fixed port."""

TIDS: Final = ("shared", "own", "listen")

TEXT: Final = "boot/text"
LONG: Final = "boot/long"
"""In a folder, as files that boot are: it is also a way out for servers that look at names only."""

_MARKS: Final = {
    Verdict.OK: "ok",
    Verdict.NON_STRICT: "non-strict",
    Verdict.INFORMATIONAL: "info",
    Verdict.FAILED: "**FAILED**",
}


@attrs.frozen
class Column:
    """What came of one server."""

    name: str
    version: str
    results: dict[str, Result]
    ended_by: list[str]
    """Cases that ended it."""
    missing: str = ""
    """Why it could not be had."""


def text_of(lines: int) -> bytes:
    """Return a text whose lines end in all ways there are, so that netascii is seen."""
    ends = ("\n", "\n", "\n", "\r\n", "\rbare\n")
    return "".join(f"{line:07d}{ends[line % 5]}" for line in range(lines)).encode()


def servers(workspace: Workspace) -> Iterator[tuple[str, Server | str]]:
    """Yield the field by name: a server, or why it cannot be had."""
    for name, maker in MAKERS.items():
        try:
            yield name, maker(workspace)
        except (UnusableError, OSError) as error:
            yield name, str(error)
    for tid in TIDS:
        name = f"snowowl {tid}"
        yield name, snowowl(workspace, name, config=f'server.tid = "{tid}"\n')


def free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(server: Server, workspace: Workspace) -> AsyncIterator[bytes]:
    """Run a server; give its address when it answers."""
    port = server.fixed_port or free_port(server.host)
    with LOCK.open("a") as lock:
        if server.fixed_port is not None:
            await trio.to_thread.run_sync(fcntl.flock, lock, fcntl.LOCK_EX)
        started = processes.start(
            server.command(port, server.uploads),
            server.folder,
            workspace.log(server.name.replace(" ", "-")),
            environment=server.environment,
        )
        try:
            await trio.to_thread.run_sync(_await_answer, (server.host, port), started)
            yield socket_address(server.host, port)
        finally:
            started.stop()


def _await_answer(address: tuple[str, int], started: processes.Running) -> None:
    request = b"\0\1" + TEXT.encode() + b"\0octet\0"
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and started.process.poll() is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.3)
            try:
                probe.sendto(request, address)
                _, source = probe.recvfrom(65536)
                probe.sendto(b"\0\5\0\0it answers\0", source)
            except OSError:
                time.sleep(0.1)
                continue
            return
    raise UnusableError(f"it does not answer: {started.last_words()}")


async def try_server(
    server: Server, workspace: Workspace, cases: Sequence[Case], settings: Settings
) -> Column:
    """Run all cases, starting the server again each time that one ended it."""
    results: dict[str, Result] = {}
    ended_by: list[str] = []
    for _ in range(STARTS_MAX):
        left = [case for case in cases if case.id not in results]
        if not left:
            break
        # Long cases need a long file, the others are quicker with a short one.
        part = [case for case in left if case.long == left[0].long]
        name = LONG if part[0].long else TEXT
        async with running(server, workspace) as address:
            write = f"up-{server.name.replace(' ', '-')}-{{}}".encode() if server.uploads else None
            target = Target(address=address, read=name.encode(), write=write)
            with closing(SystemNetwork()) as network:
                report = await run_suite(network, target, part, settings)
        results |= {result.case.id: result for result in report.ordered if _counts(result)}
        ended_by += _killers(report, results)
        say(f"{server.name}: {len(results)} of {len(cases)} cases")
    return Column(server.name, server.version, results, ended_by)


async def try_all(
    field: dict[str, Server | str], workspace: Workspace, cases: Sequence[Case]
) -> list[Column]:
    """Try each server; return their columns in the order of the field."""
    columns: dict[str, Column] = {}

    async def try_one(name: str, server: Server | str) -> None:
        if isinstance(server, str):
            columns[name] = Column(name, "", {}, [], server)
            return
        try:
            columns[name] = await try_server(server, workspace, cases, Settings())
        except (UnusableError, CannotRunError) as error:
            columns[name] = Column(name, server.version, {}, [], str(error))

    async with trio.open_nursery() as nursery:
        for name, server in field.items():
            nursery.start_soon(try_one, name, server)
    return [columns[name] for name in field]


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _counts(result: Result) -> bool:
    return not result.said.startswith("not run:")


def _killers(report: Report, results: dict[str, Result]) -> list[str]:
    for case_id in report.died_in:
        if case_id not in results:  # one of several that ran when it died: say so, and go on
            case = next(case for case in report.cases if case.id == case_id)
            said = f"the server died while this ran, beside {', '.join(report.died_in)}"
            results[case_id] = Result(case=case, verdict=Verdict.FAILED, said=said)
    return list(report.died_in)


# The text.


def markdown(columns: Sequence[Column], cases: Sequence[Case]) -> str:
    """Return the whole file."""
    notes = NOTES.read_text(encoding="utf-8").rstrip() if NOTES.exists() else ""
    had = [column for column in columns if not column.missing]
    parts = [notes, "", "## Verdicts by server", "", *_counts_table(columns), ""]
    parts += ["## What was found", "", *_findings(had), ""]
    parts += ["## Every case", "", *_table(had, cases), ""]
    return "\n".join(parts)


def _counts_table(columns: Sequence[Column]) -> Iterator[str]:
    yield "| server | version | OK | NON-STRICT | INFORMATIONAL | not tried | FAILED | ended by |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for column in columns:
        if column.missing:
            yield f"| {column.name} | could not be had: {_cell(column.missing)} | | | | | | |"
            continue
        ran = [result for result in column.results.values() if result.ran]
        counted = [
            sum(result.verdict is verdict for result in ran)
            for verdict in (Verdict.OK, Verdict.NON_STRICT, Verdict.INFORMATIONAL)
        ]
        failed = sum(result.verdict is Verdict.FAILED for result in ran)
        not_tried = len(column.results) - len(ran)
        ended = ", ".join(f"`{name}`" for name in column.ended_by) or "-"
        figures = " | ".join(str(count) for count in (*counted, not_tried, failed))
        yield f"| {column.name} | {column.version or '-'} | {figures} | {ended} |"


def _findings(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        found = [
            result
            for result in column.results.values()
            if result.ran and result.verdict in (Verdict.FAILED, Verdict.NON_STRICT)
        ]
        if not found:
            yield f"- **{column.name}**: nothing."
            continue
        yield f"- **{column.name}**"
        for result in found:
            first = f" (the first time: {_cell(result.first_said)})" if result.first_said else ""
            said = _cell(result.said)
            yield f"  - {_MARKS[result.verdict]} `{result.case.id}`: {said}{first}"


def _evidence(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        for result in column.results.values():
            if result.verdict is not Verdict.OK and result.ran:
                yield f"\n{column.name} {result.case.id}: {result.verdict.value}: {result.said}"
                yield from (str(entry) for entry in result.evidence)


def _table(columns: Sequence[Column], cases: Sequence[Case]) -> Iterator[str]:
    yield "| case | level | " + " | ".join(column.name for column in columns) + " |"
    yield "| --- | --- |" + " --- |" * len(columns)
    for case in cases:
        cells = [_mark(column.results.get(case.id)) for column in columns]
        yield f"| `{case.id}` | {case.level.value} | {' | '.join(cells)} |"


def _mark(result: Result | None) -> str:
    if result is None or not result.ran:
        return "-"
    return _MARKS[result.verdict]


def _cell(text: str) -> str:
    """Return text for a table; what it says of this machine's folders is of no interest."""
    text = re.sub(rf"{tempfile.gettempdir()}/[^/\s]+/root", "/tmp/.../root", text)
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.peers", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="only this server")
    parser.add_argument("--case", action="append", metavar="GLOB", default=[], help="only these")
    parser.add_argument("--long", action="store_true", help="also the cases that take long")
    parser.add_argument("--out", type=Path, help="instead of RESULTS.md; - for stdout")
    parser.add_argument("--evidence", type=Path, help="a file for the datagrams of each finding")
    parser.add_argument("--work", type=Path, default=default_folder("conformance"))
    chosen = parser.parse_args()
    workspace = Workspace(chosen.work)
    cases = choose(all_cases(), only=chosen.case, long=chosen.long)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are to be ended, too
    try:
        workspace.prepare()
        (workspace.root / TEXT).parent.mkdir(exist_ok=True)
        (workspace.root / TEXT).write_bytes(text_of(1500))
        (workspace.root / LONG).write_bytes(text_of(60_000))
        field = {
            name: server
            for name, server in servers(workspace)
            if not chosen.only or any(name.startswith(only) for only in chosen.only)
        }
        columns = trio.run(try_all, field, workspace, cases)
    except UnusableError as error:
        say(f"peers: {error}")
        return 1
    finally:
        for left in workspace.root.glob("up-*"):
            left.unlink()
    if chosen.evidence is not None:
        chosen.evidence.write_text("\n".join(_evidence(columns)), encoding="utf-8")
    text = markdown(columns, cases)
    if str(chosen.out) == "-":
        sys.stdout.write(text)
    else:
        (chosen.out or RESULTS).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
