"""The servers of a comparison, each started as nobody on a copy of the same folder.

Their timers are set alike and long, where they can be, so that what is heard within a second is an
answer and no repetition; snowowl sends no probes then, either.  Whatever else can be set is left as an administrator finds it.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import attrs
import trio

import snowowl
from snowowl.datagram import address
from snowowl.datagram.interface import Network
from snowowl.testing.probe import Probe
from tests.differential import tree
from tests.differential.steps import Case
from tests.peers import servers as peers
from tests.peers.processes import Running, start
from tests.peers.servers import Server
from tests.peers.workspace import UnusableError, Workspace, run_quietly
from tests.real.harness import environment, rrq, serve_command

Tid = Literal["shared", "own", "listen"]

OURS: Final = "snowowl"
PEERS: Final = ("tftpd-hpa", "atftpd", "dnsmasq", "snowowl-own", "snowowl-listen")
"""snowowl with its other ways to choose TIDs is compared with itself: it must differ in the TIDs alone."""

TIMER_SECONDS: Final = 4
"""How long each server waits before it repeats something; dnsmasq cannot be told, it waits 2 s."""

READY_SECONDS: Final = 20.0

_CONFIG: Final = f"""
[server]
tid = "%s"
drain_seconds = 0

[protocol]
timeout_initial_seconds = {TIMER_SECONDS}
timeout_min_seconds = {TIMER_SECONDS}
timeout_max_seconds = {TIMER_SECONDS}

[write]
enabled = true
overwrite = true
"""


@attrs.frozen
class Stand:
    """A server that runs."""

    name: str
    version: str
    address: bytes
    """Its listening socket address."""
    root: Path
    uploads: bool

    def plays(self, case: Case) -> bool:
        """Say whether a case is for this server."""
        return (self.uploads or not case.writes) and case.unsteady != self.name


def available(
    folder: Path, names: Sequence[str] = PEERS
) -> tuple[dict[str, Server], dict[str, str]]:
    """Return the peers that can be had, and why the others cannot; each gets a folder of its own."""
    found: dict[str, Server] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            found[name] = _MAKERS[name](_workspace(folder, name))
        except UnusableError as error:
            missing[name] = str(error)
    return found, missing


def is_installed(name: str) -> bool:
    """Say whether a peer can be had without fetching anything."""
    if name not in _PROGRAMS:
        return True
    program, sign = _PROGRAMS[name]
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        return False
    try:
        said = run_quietly([found, "--version" if name == "dnsmasq" else "-V"], Path.cwd())
    except UnusableError:
        return False
    return sign in said.lower()


def ours(folder: Path) -> Server:
    """Return snowowl, from this tree."""
    return _ours(_workspace(folder, OURS), OURS, "shared")


def _ours(workspace: Workspace, name: str, tid: Tid) -> Server:
    config = workspace.folder / "snowowl.toml"
    config.write_text(_CONFIG % tid, encoding="utf-8")

    def command(port: int, uploads: bool) -> list[str]:
        flags = ("--config", str(config), "--listen", f"127.0.0.1:{port}", "--quiet")
        return serve_command(workspace.root, *flags, unprivileged=True)

    return Server(
        name=name,
        kind="snowowl",
        command=command,
        folder=workspace.root,
        environment=environment(),
        version=snowowl.__version__,
    )


def _workspace(folder: Path, name: str) -> Workspace:
    workspace = Workspace(folder / name)
    workspace.prepare()
    return workspace


def _with_options(server: Server, *options: str) -> Server:
    """Return a server that is started with more options, before those that it has."""

    def command(port: int, uploads: bool) -> list[str]:
        program, *rest = server.command(port, uploads)
        return [program, *options, *rest]

    return attrs.evolve(server, command=command)


def _dnsmasq(workspace: Workspace) -> Server:
    # Its port is 69 whatever one does: an address of this process' own lets several runs be at once.
    pid = os.getpid()
    return peers.dnsmasq(
        workspace, host=f"127.{64 + pid // 65536 % 128}.{pid // 256 % 256}.{pid % 256}"
    )


_MAKERS: Final[dict[str, Callable[[Workspace], Server]]] = {
    "tftpd-hpa": lambda workspace: _with_options(
        peers.tftpd_hpa(workspace), "--retransmit", str(TIMER_SECONDS * 1_000_000)
    ),
    # Multicast would leave this machine.
    "atftpd": lambda workspace: _with_options(
        peers.atftpd(workspace), "--retry-timeout", str(TIMER_SECONDS), "--no-multicast"
    ),
    "dnsmasq": _dnsmasq,
    "snowowl-own": lambda workspace: _ours(workspace, "snowowl-own", "own"),
    "snowowl-listen": lambda workspace: _ours(workspace, "snowowl-listen", "listen"),
}


_PROGRAMS: Final = {
    "tftpd-hpa": ("in.tftpd", "tftp-hpa"),
    "atftpd": ("atftpd", "atftp"),
    "dnsmasq": ("dnsmasq", "dnsmasq"),
}
"""Programs, and what they say of themselves: atftpd's package has an `in.tftpd` too."""


@asynccontextmanager
async def standing(network: Network, server: Server) -> AsyncIterator[Stand]:
    """Run a server in this block; `UnusableError` if it does not answer."""
    home = server.folder.parent
    root = tree.make(home)
    port = server.fixed_port or _free_port()
    at = address.pack((server.host, port))
    log = home / "log" / "server.log"
    running = start(server.command(port, True), home, log, environment=server.environment)
    try:
        await _wait_until_ready(network, running, at)
        yield Stand(server.name, server.version, at, root, server.uploads)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(running.stop)


async def _wait_until_ready(network: Network, running: Running, at: bytes) -> None:
    stop = trio.current_time() + READY_SECONDS
    while trio.current_time() < stop:
        with Probe(network, socket.AF_INET) as probe:
            await probe.send(rrq(b"one"), at)
            heard = await probe.receive(0.2)
            if heard is not None and heard.octets[:4] == b"\0\3\0\1":
                await probe.send(b"\0\4\0\1", heard.source)
                return
        if running.process.poll() is not None:
            break
        await trio.sleep(0.02)
    raise UnusableError(f"it does not start: {running.last_words()}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert isinstance(port, int)
        return port
