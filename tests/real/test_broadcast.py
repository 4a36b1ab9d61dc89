"""A request to 255.255.255.255, as switches send it, over a network of two namespaces (rule R10)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.users import STAYS_FLAGS, WARNING

SERVER_ADDRESS = "192.168.79.1"
FILE_SIZE = 1500

_CLIENT = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.SOL_SOCKET, 25, b"owl1\\0")  # SO_BINDTODEVICE: there is no default route
sock.settimeout(5)
sock.sendto(b"\\0\\1config\\0octet\\0", ("255.255.255.255", 69))
octets, more = b"", True
while more:
    packet, peer = sock.recvfrom(600)
    assert packet[:2] == b"\\0\\3", packet
    octets += packet[4:]
    sock.sendto(b"\\0\\4" + packet[2:4], peer)
    more = len(packet) == 516
print(peer[0], len(octets))
"""

_LISTENER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sock.setsockopt(socket.SOL_SOCKET, 25, b"owl1\\0")
for target in sys.argv[1:]:
    sock.settimeout(5)
    sock.sendto(b"\\0\\1config\\0octet\\0", (target, 69))
    peers = []
    try:
        while True:
            peers.append(sock.recvfrom(600)[1])
            sock.settimeout(0.3)  # shorter than the time until something is sent again
    except TimeoutError:
        pass
    for peer in peers:
        sock.sendto(b"\\0\\5\\0\\0\\0", peer)
    print(target, len(peers))
"""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs root and ip (Debian: iproute2) to make network namespaces",
    ),
]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """Two hosts on one wire: the server's and the client's."""
    names = [f"owl-broadcast-{side}-{os.getpid()}" for side in ("server", "client")]
    with ExitStack() as stack:
        for name in names:
            made = subprocess.run(["ip", "netns", "add", name], check=False, timeout=10)
            if made.returncode:
                pytest.skip("network namespaces cannot be made here")
            stack.callback(ip, "netns", "del", name)
        wire = ["link", "add", "owl0", "netns", names[0], "type", "veth"]
        ip(*wire, "peer", "name", "owl1", "netns", names[1])
        for index, name in enumerate(names):
            ip("-n", name, "addr", "add", f"192.168.79.{index + 1}/24", "dev", f"owl{index}")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", f"owl{index}", "up")
        yield names[0], names[1]


def _first_line(log: IO[bytes]) -> bytes:
    """Return the first line that a server logs of itself."""
    line = log.readline()
    return log.readline() if WARNING.encode() in line else line


@pytest.mark.rule("R10")
@pytest.mark.parametrize("listen", ["*:69", "0.0.0.0:69"])
@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
def test_a_broadcast_is_answered_from_a_unicast_address(
    tmp_path: Path, namespaces: tuple[str, str], listen: str, tid: str
) -> None:
    (tmp_path / "config").write_bytes(bytes(FILE_SIZE))
    inside = ["ip", "netns", "exec"]
    serve = [
        sys.executable,
        "-m",
        "snowowl",
        "serve",
        str(tmp_path),
        "--listen",
        listen,
        *STAYS_FLAGS,
    ]
    server = subprocess.Popen(
        [*inside, namespaces[0], *serve],
        stderr=subprocess.PIPE,
        env={**os.environ, "SNOWOWL_TID": tid},
    )
    with server:
        try:
            assert server.stderr is not None
            line = _first_line(server.stderr)
            assert b"listening on" in line, line
            client = [*inside, namespaces[1], sys.executable, "-c", _CLIENT]
            asked = subprocess.run(client, check=False, capture_output=True, timeout=20)
            for _ in range(20):  # the wire takes a moment to come up
                if asked.returncode == 0:
                    break
                time.sleep(0.1)
                asked = subprocess.run(client, check=False, capture_output=True, timeout=20)
            assert asked.stdout.split() == [SERVER_ADDRESS.encode(), b"%d" % FILE_SIZE], (
                asked.stderr
            )
        finally:
            server.terminate()


@pytest.mark.rule("R10")
@pytest.mark.parametrize("listen", ["*:69", "0.0.0.0:69"])
def test_of_several_processes_one_answers(
    tmp_path: Path, namespaces: tuple[str, str], listen: str
) -> None:
    """The kernel hands a broadcast to every socket of a port, and deals out what is for one."""
    (tmp_path / "config").write_bytes(bytes(FILE_SIZE))
    inside = ["ip", "netns", "exec"]
    serve = [
        sys.executable,
        "-m",
        "snowowl",
        "serve",
        str(tmp_path),
        "--listen",
        listen,
        *STAYS_FLAGS,
    ]
    server = subprocess.Popen(
        [*inside, namespaces[0], *serve, "--workers", "3", "-q"], stderr=subprocess.PIPE
    )
    targets = ["255.255.255.255", "192.168.79.255", SERVER_ADDRESS]
    with server:
        try:
            assert server.stderr is not None
            line = _first_line(server.stderr)
            assert b"listening on" in line, line
            client = [*inside, namespaces[1], sys.executable, "-c", _LISTENER, *targets]
            answers = ""
            for _ in range(3):  # the wire takes a moment to come up
                asked = subprocess.run(
                    client, check=False, capture_output=True, text=True, timeout=20
                )
                answers = asked.stdout or asked.stderr
                if " 0\n" not in answers:
                    break
            assert answers == "".join(f"{target} 1\n" for target in targets)
        finally:
            server.terminate()
