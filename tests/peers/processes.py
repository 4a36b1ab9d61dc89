"""Servers as process trees: started on a CPU, asked what they used, stopped by pid.

What a server costs is the CPU of its whole tree: threads that ended, children, and children that
were reaped count.  Nothing here knows TFTP, and nothing is ended by name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

STOP_SECONDS: Final = 3.0
"""Longer than any server here needs to end after SIGTERM; then comes SIGKILL."""

CLOSE_ATTEMPTS: Final = 40
"""A group is busy until the last of its processes is reaped."""

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Stat:
    """What /proc/PID/stat tells."""

    pid: int
    state: str
    parent: int
    session: int
    reaped_seconds: float
    """CPU of the children that ended and were waited for."""


def stat_of(pid: int) -> Stat | None:
    """Return a process' entry, None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may hold some itself.
    fields = text[text.rindex(")") + 2 :].split()
    reaped = (int(fields[13]) + int(fields[14])) / TICKS_A_SECOND
    return Stat(pid, fields[0], int(fields[1]), int(fields[3]), reaped)


def tree_of(leader: int) -> list[Stat]:
    """Return the processes of a leader's session, and those that descend from it."""
    entries = [stat_of(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()]
    stats = [entry for entry in entries if entry is not None]
    members = {leader}
    while True:
        more = {
            stat.pid for stat in stats if stat.session == leader or stat.parent in members
        } - members
        if not more:
            return [stat for stat in stats if stat.pid in members]
        members |= more


def cpu_seconds_of(leader: int) -> float:
    """Return user and system seconds of a tree, to the microsecond for what still runs.

    The CPU clock of a process counts threads that ended, which a sum over /proc/PID/task would miss.
    Its id is made as clock_getcpuclockid(3) makes it: the complement of the pid, and 2 for the scheduler's.
    """
    total = 0.0
    for stat in tree_of(leader):
        total += stat.reaped_seconds
        with suppress(OSError):
            total += time.clock_gettime((~stat.pid << 3) | 2)
    return total


class Meter:
    """The CPU of a tree since it was made, children that nobody waited for among it.

    tftpd-hpa ignores SIGCHLD: what its children used is in no parent's sum.  A control group keeps it;
    where there is none to be had (no root), the sum over the tree has to do.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._group = _new_group(f"snowowl-bench-{leader}")
        if self._group is not None:
            for stat in tree_of(leader):
                with suppress(OSError):
                    (self._group / "cgroup.procs").write_text(str(stat.pid))
        self._before = self._total()

    def seconds(self) -> float:
        """Return user and system seconds since the meter was made."""
        return self._total() - self._before

    def _total(self) -> float:
        if self._group is None:
            return cpu_seconds_of(self._leader)
        (usage,) = re.findall(r"usage_usec (\d+)", (self._group / "cpu.stat").read_text())
        return int(usage) / 1e6

    def close(self) -> None:
        """End who is still in the group, and remove it."""
        if self._group is None:
            return
        for _ in range(CLOSE_ATTEMPTS):
            for word in (self._group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(word), signal.SIGKILL)
            with suppress(OSError):
                self._group.rmdir()
                return
            time.sleep(0.05)


def _new_group(name: str) -> Path | None:
    """Make a control group (version 2: it takes no part in scheduling while no controller is on)."""
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        group = Path(top, name)
        if not Path(top, "cgroup.controllers").exists():
            continue
        with suppress(OSError):
            group.mkdir(exist_ok=True)
            return group
    return None


def private_megabytes_of(leader: int) -> float:
    """Return the memory of a tree that is no page of a file, in MB (10**6 octets).

    `Pss_Anon` counts a page that forked processes still share once, as it should.
    """
    kilobytes = 0
    for stat in tree_of(leader):
        with suppress(OSError):
            for line in Path(f"/proc/{stat.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6


@contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Let what is started in this block run on one CPU; None: on any."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@attrs.frozen
class Running:
    """A server that was started, the leader of its session."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        """Return the end of what the server wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it wrote nothing"

    def stop(self) -> None:
        """End the tree: SIGTERM to the leader, later SIGKILL to whoever is left."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for stat in tree_of(self.pid):
            with suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
        self.process.wait()


def start(
    command: Sequence[str],
    folder: Path,
    log: Path,
    *,
    cpu: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Start a server in a session of its own, with all that it writes in a log; may raise `OSError`."""
    with log.open("wb") as stream, on_cpu(cpu):
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    return Running(process, log)
