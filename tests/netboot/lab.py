"""The lab: two network namespaces, a server in one, booting machines on a bridge in the other.

    [owl-PID-srv]  s0 192.168.77.1 fd77::1  --veth--  p0 [owl-PID-net] br0  tapN  QEMU

The server under test, DHCP (dnsmasq, its own TFTP off) and the witness run in the first namespace.
Rule: whatever a `Lab` made is gone when its block is left, however it is left: programs first, then
taps, then namespaces. No test and no knowledge of a boot loader may be here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest

from tests.netboot.program import Program, running
from tests.netboot.servers import (
    ADDRESS,
    ADDRESS_V6,
    ServerCommand,
    server_command,
    server_obstacle,
)
from tests.netboot.witness import Datagram

NETMASK = "255.255.255.0"
_START_SECONDS = 20.0
_OPCODES_REQUEST = (1, 2)

Machine = Callable[[str, str], Sequence[str]]
"""Makes QEMU's command from the name of a tap and the MAC address behind it."""


def _run(*words: str, text: str | None = None) -> None:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")


def _ip(space: str, command: str) -> None:
    _run("ip", "-n", space, *command.split())


def needs(*tools: str) -> pytest.MarkDecorator:
    """Mark trials to be skipped where one of `tools` (programs, or files by absolute path) is missing."""
    missing = [
        tool
        for tool in ("ip", "dnsmasq", *tools)
        if not (Path(tool).exists() if tool.startswith("/") else shutil.which(tool))
    ]
    reason = f"not installed: {', '.join(missing)}" if missing else server_obstacle()
    return pytest.mark.skipif(bool(reason), reason=reason)


@functools.cache
def _namespace_obstacle() -> str:
    """Say why there can be no namespaces and taps here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces and taps need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"owl-{os.getpid()}-try"
    try:
        _run("ip", "netns", "add", name)
        try:
            _ip(name, "tuntap add tap0 mode tap")
        finally:
            _run("ip", "netns", "del", name)
    except OSError as problem:
        return str(problem)
    return ""


@attrs.define
class Lab:
    """A running lab. `machine` boots something in it; `datagrams` is what crossed the wire so far."""

    server: Program
    witness: Program
    _server_space: str
    _client_space: str
    _taps: int = 0

    @contextlib.contextmanager
    def machine(self, machine: Machine) -> Iterator[Program]:
        """Boot a machine on a tap of its own for the length of the block; yields its console."""
        number, self._taps = self._taps, self._taps + 1
        tap, space = f"tap{number}", self._client_space
        _ip(space, f"tuntap add {tap} mode tap")
        try:
            _ip(space, f"link set {tap} master br0 up")
            command = machine(tap, f"52:54:00:77:00:{number:02x}")
            with running(f"machine {number}", ("ip", "netns", "exec", space, *command)) as console:
                yield console
        finally:
            _ip(space, f"tuntap del {tap} mode tap")

    def lose(self, match: str) -> None:
        """Drop every other datagram between the namespaces that matches, an nftables expression.

        Of one that is sent again when it is missing, only the first is lost.
        """
        rule = f"{match} numgen inc mod 2 0 drop"
        chain = f"chain forward {{\n type filter hook forward priority 0;\n {rule}\n }}"
        nft = ("ip", "netns", "exec", self._client_space, "nft", "-f", "-")
        _run(*nft, text=f"table bridge loss {{\n {chain}\n}}\n")

    @property
    def datagrams(self) -> list[Datagram]:
        """Every UDP datagram that crossed the server's interface, DHCP and DATA excepted."""
        lines = self.witness.text.split("\n")[1:-1]
        return [Datagram.from_line(line) for line in lines]

    @property
    def requests(self) -> list[bytes]:
        """The read and write requests in the order sent, octet for octet."""
        return [seen.payload for seen in self.datagrams if seen.opcode in _OPCODES_REQUEST]

    def answer(self, name: str, seconds: float = 5.0) -> Datagram:
        """Return the server's first answer other than DATA to the last request for `name`.

        Raises AssertionError after `seconds`: the witness runs a little behind the machines.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            datagrams = self.datagrams
            for index, asked in reversed(list(enumerate(datagrams))):
                if asked.opcode in _OPCODES_REQUEST and asked.payload[2:].startswith(
                    name.encode() + b"\0"
                ):
                    for seen in datagrams[index + 1 :]:
                        if seen.destination_port == asked.source_port:
                            return seen
                    break
            time.sleep(0.05)
        raise AssertionError(f"no OACK, ACK or ERROR answered the request for {name!r}")


@contextlib.contextmanager
def _namespaces() -> Iterator[tuple[str, str]]:
    server, client = (f"owl-{os.getpid()}-{end}" for end in ("srv", "net"))
    with contextlib.ExitStack() as stack:
        for space in (server, client):
            _run("ip", "netns", "add", space)
            stack.callback(_run, "ip", "netns", "del", space)
            _ip(space, "link set lo up")
        _ip(server, f"link add s0 type veth peer name p0 netns {client}")
        _ip(client, "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0")
        _ip(client, "link set p0 master br0 up")
        _ip(client, "link set br0 up")
        _ip(server, f"addr add {ADDRESS}/24 dev s0")
        _ip(server, f"addr add {ADDRESS_V6}/64 dev s0 nodad")
        # No segmentation offload on the veth: the wire carries, and nftables sees, each datagram
        # of a window for itself, as behind a real interface.
        _ip(server, "link set dev s0 gso_max_segs 1 up")
        yield server, client


def _dhcp(boot_file: str) -> list[str]:
    quiet = "--no-daemon --conf-file=/dev/null --pid-file= --leasefile-ro --user=root --no-resolv"
    # iPXE 2019 holds a finished DHCP back until IPv6 was advertised or 15 s are over. Without
    # --no-ping every lease takes 3 s.
    offer = f"--dhcp-range=192.168.77.50,192.168.77.99,{NETMASK},1h --no-ping --enable-ra"
    return [
        *("dnsmasq", *quiet.split(), "--port=0", "--interface=s0", "--except-interface=lo"),
        *("--bind-interfaces", *offer.split(), "--dhcp-range=fd77::,ra-only"),
        f"--dhcp-boot={boot_file},,{ADDRESS}",
    ]


@contextlib.contextmanager
def netboot_lab(
    root: Path,
    *,
    boot_file: str = "",
    serve_options: Sequence[str] = (),
    command: ServerCommand | None = None,
) -> Iterator[Lab]:
    """Run a lab in which `root` is served, and DHCP names `boot_file`, for the length of the block.

    `command` starts a server in place of the one that trials run against.

    A failure inside is shown the consoles of server and witness: the log line of each transfer,
    and each request with its answer. Skips the trial where namespaces cannot be made.
    """
    if obstacle := _namespace_obstacle():
        pytest.skip(obstacle)
    witness = Path(__file__).with_name("witness.py")
    with contextlib.ExitStack() as stack:
        server_space, client_space = stack.enter_context(_namespaces())

        def start(name: str, words: Sequence[str], ready: str) -> Program:
            command = ("ip", "netns", "exec", server_space, *words)
            program = stack.enter_context(running(name, command))
            program.expect(ready, _START_SECONDS)
            return program

        watching = start("witness", (sys.executable, str(witness), "s0"), "watching s0")
        start("dhcp", _dhcp(boot_file), "DHCP, IP range")
        command = command or server_command(root, serve_options)
        server = start("server", command.words, command.ready)
        yield Lab(server, watching, server_space, client_space)
