"""The addresses to listen on: may they be bound, and who has them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok
from snowowl.cli.doctor_checks.machine import CAP_NET_BIND_SERVICE, Machine
from snowowl.config.listen import ListenAddress
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import open_listening

_PROCESSES_MAX: Final = 20_000
_PORTS_PRIVILEGED: Final = 1024


def ports(subject: Subject) -> Iterator[Finding]:
    """Bind each address for a moment; name who has it."""
    machine = subject.machine
    if inherited := _sockets_inherited(machine):
        yield note(
            "ports", f"{inherited} sockets come from systemd (LISTEN_FDS); they are not bound here"
        )
    for listen in subject.config.server.addresses():
        yield _try(listen, machine)


def _sockets_inherited(machine: Machine) -> int:
    count = machine.environ.get("LISTEN_FDS", "")
    mine = machine.environ.get("LISTEN_PID") == str(os.getpid())
    return int(count) if mine and count.isdecimal() and len(count) < 6 else 0


def _try(listen: ListenAddress, machine: Machine) -> Finding:
    try:
        open_listening(listen.host, listen.port, Settings(receive_buffer=0)).close()
    except OSError as error:
        return _refused(listen, error, machine)
    if listen.port == 0:
        return note("ports", f"{listen}: any free port", "name one, for clients to find it")
    return ok("ports", f"{listen} is free, and may be bound")


def _refused(listen: ListenAddress, error: OSError, machine: Machine) -> Finding:
    if error.errno == errno.EADDRINUSE:
        owners = owners_of(listen.port, machine)
        if owners and all("snowowl" in words for _, words in owners):
            pids = ", ".join(str(pid) for pid, _ in owners)
            return note("ports", f"{listen}: snowowl serves it already (process {pids})")
        named = "; ".join(f"process {pid}, `{words}`" for pid, words in owners)
        found = f" by {named}" if named else ""
        return fail(
            "ports",
            f"{listen} is taken{found}",
            "stop that server, or choose another port: --listen '*:6969'"
            + ("" if named else " (as root, `ss -lunp` tells whose it is)"),
        )
    if error.errno in (errno.EACCES, errno.EPERM) and listen.port < _PORTS_PRIVILEGED:
        return _privileged(listen, machine)
    if error.errno == errno.EADDRNOTAVAIL:
        return fail(
            "ports",
            f"{listen}: no interface has this address",
            "`ip address` lists those there are; '*:69' is all of them",
        )
    return fail("ports", f"{listen}: {error.strerror or error}", "choose another with --listen")


def _privileged(listen: ListenAddress, machine: Machine) -> Finding:
    start = machine.number("proc/sys/net/ipv4/ip_unprivileged_port_start")
    first = _PORTS_PRIVILEGED if start is None else start
    why = "this process has no CAP_NET_BIND_SERVICE"
    if machine.has_capability(CAP_NET_BIND_SERVICE):
        why = "a security module forbids it, though there is CAP_NET_BIND_SERVICE"
    return fail(
        "ports",
        f"{listen} may not be bound: {why}, and net.ipv4.ip_unprivileged_port_start is {first}",
        "start it as root (it becomes server.user at once), or by systemd"
        " (AmbientCapabilities=CAP_NET_BIND_SERVICE, or a socket unit), or listen on a high port:"
        " --listen '*:6969'",
    )


def owners_of(port: int, machine: Machine) -> list[tuple[int, str]]:
    """Return (process, command line) of those who have a UDP port, as far as it can be known."""
    inodes = set()
    for table in ("proc/net/udp", "proc/net/udp6"):
        for line in machine.text(table).splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[1].rpartition(":")[2] == f"{port:04X}":
                inodes.add(f"socket:[{words[9]}]")
    found = []
    for pid in _processes(machine) if inodes else ():
        if not inodes.isdisjoint(_descriptors(machine, pid)):
            words = machine.text(f"proc/{pid}/cmdline").split("\0")
            found.append((pid, " ".join(words).strip()[:80]))
    return found


def _processes(machine: Machine) -> list[int]:
    try:
        names = os.listdir(machine.path("proc"))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())[:_PROCESSES_MAX]


def _descriptors(machine: Machine, pid: int) -> list[str]:
    try:
        with os.scandir(machine.path(f"proc/{pid}/fd")) as entries:
            return [os.readlink(entry.path) for entry in entries]  # noqa: PTH115 - of a DirEntry
    except OSError:  # not ours to see, or gone
        return []
