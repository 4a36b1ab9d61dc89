"""What a tree of processes uses, by /proc; nothing where there is none.  Knows nothing of servers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import attrs

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@attrs.frozen
class Usage:
    """What a server uses of the machine; all processes of it together."""

    descriptors: int = 0
    processes: int = 0
    """Threads count, too."""
    memory: int = 0
    """Octets of resident memory that is no file's."""


@attrs.frozen
class _Stat:
    pid: int
    state: str
    parent: int
    session: int
    threads: int


def _stat_of(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The command's name stands in parentheses and may hold some itself.
        fields = text[text.rindex(")") + 2 :].split()
        return _Stat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[17]))
    except (OSError, ValueError, IndexError):
        return None


def tree_of(leader: int) -> list[int]:
    """Return the living processes of a leader's session, if it leads one, and those that descend from it."""
    with suppress(OSError):
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        stats = [stat for pid in pids if (stat := _stat_of(pid)) is not None and stat.state != "Z"]
        members = {leader}
        while True:
            more = {
                stat.pid for stat in stats if stat.session == leader or stat.parent in members
            } - members
            if not more:
                return [stat.pid for stat in stats if stat.pid in members]
            members |= more
    return []


def usage_of(leader: int) -> Usage | None:
    """Return what a tree uses, None if its leader is gone."""
    stat = _stat_of(leader)
    if stat is None or stat.state == "Z":
        return None
    descriptors = processes = memory = 0
    for pid in tree_of(leader):
        one = _stat_of(pid)
        processes += 0 if one is None else one.threads
        with suppress(OSError):
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are enough
        with suppress(OSError, ValueError, IndexError):
            resident, shared = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1:3]
            memory += (int(resident) - int(shared)) * _PAGE
    return Usage(descriptors, processes, memory)
