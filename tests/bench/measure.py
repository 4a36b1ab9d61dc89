"""One run: a fresh server, one scenario's load, what came of it.

A run always ends: the load has its duration, and whatever hangs beyond it is ended and reported as
"fails".  Nothing raises but `UnusableError` for a missing tool; what a server does is a result.
"""

from __future__ import annotations

import filecmp
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from tests.bench.results import Load, Result
from tests.bench.scenarios import Measure, Scenario
from tests.bench.workspace import sent, tool
from tests.peers.processes import (
    Meter,
    Running,
    on_cpu,
    private_megabytes_of,
    start,
    tree_of,
)
from tests.peers.servers import Server
from tests.peers.workspace import SMALL, Workspace

READY_SECONDS: Final = 15.0
GRACE_SECONDS: Final = 5.0
"""What the load may take beyond its duration."""
SETTLE_SECONDS: Final = 0.1
"""After the last datagram: forked children end, counts arrive."""
SERVER, CLIENT = 0, 1
"""Places in `Scenario.cpus`."""

GIB: Final = float(1 << 30)


class _FailedError(Exception):
    """The run yields nothing; the message says why."""


def _cpu_of(scenario: Scenario, place: int) -> int | None:
    """Return the CPU that one side is to run on, of those that we may use."""
    if scenario.cpus is None:
        return None
    usable = sorted(os.sched_getaffinity(0))
    if max(scenario.cpus) >= len(usable):
        raise _FailedError("too few CPUs")
    return usable[scenario.cpus[place]]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def _answers(host: str, port: int) -> bool:
    """Fetch the small file in lock-step; it has two blocks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.25)
        with suppress(OSError):
            client.sendto(b"\0\1" + SMALL.encode() + b"\0octet\0", (host, port))
            for _ in range(2):
                packet, tid = client.recvfrom(600)
                client.sendto(b"\0\4" + packet[2:4], tid)
                if packet[:2] != b"\0\3":
                    return False
            return True
    return False


def _wait_until_ready(running: Running, host: str, port: int) -> None:
    stop = time.monotonic() + READY_SECONDS
    while not _answers(host, port):
        if running.process.poll() is not None:
            raise _FailedError(f"does not start: {running.last_words()}")
        if time.monotonic() > stop:
            raise _FailedError(f"does not answer: {running.last_words()}")
        time.sleep(0.02)
    time.sleep(SETTLE_SECONDS)


def _load(
    workspace: Workspace, where: tuple[str, int], file: str, scenario: Scenario, more: list[str]
) -> Load:
    """Run the load generator; `more` ends with the seconds that it may take."""
    reference = sent(workspace) if scenario.upload else workspace.root / file
    command = [
        *(str(tool(workspace, "load")), "--host", where[0], "--port", str(where[1])),
        *("--file", file, "--reference", str(reference), *more),
    ]
    with on_cpu(_cpu_of(scenario, CLIENT)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=float(more[-1]) + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise _FailedError("fails: the load generator hangs") from None
    if process.returncode:
        raise _FailedError(err.decode(errors="replace").strip() or "fails: the load generator")
    return Load(**json.loads(out))


def _grants_window(workspace: Workspace, where: tuple[str, int], scenario: Scenario) -> bool:
    """Ask for a small file with the scenario's options, and see what comes of the window."""
    asked = ["--blksize", str(scenario.blksize), "--windowsize", str(scenario.windowsize)]
    return _load(workspace, where, SMALL, scenario, [*asked, "--seconds", "2"]).windowsize > 1


@contextmanager
def _relayed(
    scenario: Scenario, workspace: Workspace, server: tuple[str, int]
) -> Iterator[tuple[str, int]]:
    """Yield where clients send to: the server, or a relay that delays each datagram."""
    if not scenario.delay_us:
        yield server
        return
    port = _free_port()
    host, to = server
    command = [
        *(str(tool(workspace, "delay")), "--listen", str(port), "--host", host),
        *("--port", str(to), "--delay-us", str(scenario.delay_us)),
    ]
    relay = start(command, workspace.folder, workspace.log("delay"))
    try:
        _wait_until_ready(relay, "127.0.0.1", port)
        yield "127.0.0.1", port
    finally:
        relay.stop()


@contextmanager
def _sampled_memory(pid: int, into: list[float]) -> Iterator[None]:
    """Append the memory of a tree ten times a second."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.1):
            into.append(private_megabytes_of(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _counted_calls(pid: int, summary: Path) -> Iterator[None]:
    """Have strace count the system calls of a tree; its table is in `summary` afterwards."""
    pids = [word for stat in tree_of(pid) for word in ("-p", str(stat.pid))]
    try:
        process = subprocess.Popen(
            ["strace", "-c", "-f", "-o", str(summary), *pids],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError:
        raise _FailedError("there is no strace") from None
    assert process.stderr is not None
    if b"attached" not in process.stderr.readline():
        process.communicate()
        raise _FailedError("strace may not attach")
    time.sleep(SETTLE_SECONDS)
    try:
        yield
    finally:
        time.sleep(SETTLE_SECONDS)
        process.send_signal(signal.SIGINT)
        process.communicate()


def calls_in(summary: str) -> int:
    """Return the total of a table of `strace -c`, whose columns may be empty: only their places are sure."""
    lines = summary.splitlines()
    stop = next((line.index("calls") + len("calls") for line in lines if " calls " in line), 0)
    totals = [line[:stop].split() for line in lines if line.endswith(" total")]
    if not totals or not totals[-1]:
        raise _FailedError("strace counted nothing")
    return int(totals[-1][-1])


def _synced_seconds(sent: Path, stored: Path) -> float:
    """Sync an upload, check it, and return how long the sync took.

    A server that has synced it before its last ACK leaves nothing to do here.
    """
    began = time.monotonic()
    try:
        descriptor = os.open(stored, os.O_RDWR)
    except OSError:
        raise _FailedError("the upload is nowhere") from None
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    seconds = time.monotonic() - began
    time.sleep(SETTLE_SECONDS)
    if not filecmp.cmp(sent, stored, shallow=False):
        raise _FailedError("corrupt: the stored octets differ")
    return seconds


def _judge(scenario: Scenario, load: Load) -> str:
    """Return what makes the load's numbers void, or nothing."""
    if load.corrupt:
        return "corrupt"
    if load.failed and not load.transfers:
        return f"fails: {load.error}"
    if not load.octets:
        return "fails: no DATA came"
    if scenario.upload and not load.transfers:
        return "fails: the upload did not end"
    return ""


def _note(scenario: Scenario, load: Load) -> str:
    if scenario.measure is Measure.CALLS:
        return ""  # a share of the blocks tells as much as all of them
    notes = []
    if load.windowsize < scenario.windowsize:
        notes.append(f"windowsize {load.windowsize}")
    if load.blksize < scenario.blksize:
        notes.append(f"blksize {load.blksize}")
    if load.failed:
        notes.append(f"{load.failed} failed")
    if not scenario.repeat and load.unfinished:
        notes.append(f"{load.unfinished} unfinished")
    if scenario.target.complete and load.requests_resent:
        notes.append(f"{load.requests_resent} requests re-sent")
    return ", ".join(notes)


@attrs.define
class _Used:
    """What the server used during the load."""

    cpu_seconds: float = 0.0
    memory: list[float] = attrs.Factory(list)
    summary: Path | None = None
    """The table of strace."""


def _value(scenario: Scenario, load: Load, sync: float, used: _Used) -> float:
    wall = load.wall_seconds + sync
    match scenario.measure:
        case Measure.RATE:
            return load.octets / wall / 1e6
        case Measure.TRANSFERS:
            return load.transfers / wall
        case Measure.MEMORY:
            return max(used.memory, default=0.0)
        case Measure.CALLS:
            assert used.summary is not None
            return calls_in(used.summary.read_text(encoding="utf-8")) / max(load.blocks, 1)


def _cpu(scenario: Scenario, load: Load, used: float) -> float:
    if scenario.measure is Measure.RATE:
        return used / (load.octets / GIB)
    if scenario.measure is Measure.TRANSFERS:
        return used / max(load.transfers, 1) * 1e6
    return 0.0


def _loaded(
    scenario: Scenario,
    workspace: Workspace,
    running: Running,
    where: tuple[str, int],
    more: list[str],
) -> tuple[Load, _Used]:
    """Load a running server, and watch what it uses meanwhile."""
    used = _Used()
    with ExitStack() as stack:
        meter = Meter(running.pid)
        stack.callback(meter.close)
        stack.callback(running.stop)
        with ExitStack() as watch:
            if scenario.measure is Measure.MEMORY:
                watch.enter_context(_sampled_memory(running.pid, used.memory))
            if scenario.measure is Measure.CALLS:
                used.summary = workspace.log("strace")
                used.summary.unlink(missing_ok=True)
                watch.enter_context(_counted_calls(running.pid, used.summary))
            load = _load(workspace, where, scenario.file, scenario, more)
        time.sleep(SETTLE_SECONDS)
        used.cpu_seconds = meter.seconds()
        if running.process.poll() is not None:
            raise _FailedError(f"fails: it ended, {running.last_words()}")
    return load, used


def _run(
    scenario: Scenario, server: Server, workspace: Workspace, number: int, brief: float
) -> Result:
    seconds = scenario.seconds * (brief if scenario.repeat else 1.0)
    port = server.fixed_port or _free_port()
    stored = workspace.root / scenario.file
    if scenario.upload:
        stored.unlink(missing_ok=True)
    try:
        running = start(
            server.command(port, scenario.upload),
            server.folder,
            workspace.log(server.name),
            cpu=_cpu_of(scenario, SERVER),
            environment=server.environment,
        )
    except OSError as error:
        raise _FailedError(f"does not start: {error.strerror}") from None
    with ExitStack() as stack:
        stack.callback(running.stop)
        _wait_until_ready(running, server.host, port)
        where = stack.enter_context(_relayed(scenario, workspace, (server.host, port)))
        if scenario.window_required and not _grants_window(workspace, where, scenario):
            raise _FailedError("no window")
        more = scenario.load_arguments(seconds=seconds, seed=number + 1)
        load, used = _loaded(scenario, workspace, running, where, more)
    if problem := _judge(scenario, load):
        raise _FailedError(problem)
    sync = _synced_seconds(sent(workspace), stored) if scenario.upload else 0.0
    return Result(
        scenario=scenario.key,
        server=server.name,
        round=number,
        value=_value(scenario, load, sync, used),
        cpu=_cpu(scenario, load, used.cpu_seconds),
        note=_note(scenario, load),
        complete=not (load.failed or load.requests_resent)
        and (scenario.repeat or not load.unfinished),
        load=load,
    )


def run(
    scenario: Scenario, server: Server, workspace: Workspace, number: int, *, brief: float = 1.0
) -> Result:
    """Measure one server once; `brief` shortens runs that have a duration.

    Raises `UnusableError` if one of our own tools cannot be compiled.
    """
    problem = ""
    if scenario.upload and not server.uploads:
        problem = "read-only"
    else:
        try:
            return _run(scenario, server, workspace, number, brief)
        except _FailedError as error:
            problem = str(error)
    return Result(
        scenario=scenario.key, server=server.name, round=number, problem=problem, complete=False
    )
