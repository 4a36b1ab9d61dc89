"""The program as people run it: a process of its own, on a port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.users import STAYS, WARNING

SECONDS = 20

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("SNOWOWL_") and name != "NO_COLOR"
} | dict(STAYS)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "snowowl", *map(str, arguments)]


def run(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=ENVIRONMENT | {"PYTHONPATH": root},
        timeout=SECONDS,
        check=False,
    )


@attrs.define
class Server:
    process: subprocess.Popen[str]
    port: int
    ready: str
    rest: str
    """What else was logged, all of it after `stop`."""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Return the exit status; `rest` is then what else was logged."""
        self.process.send_signal(number)
        self.rest += self.process.communicate(timeout=SECONDS)[1]
        return self.process.returncode


@contextmanager
def serving(*arguments: str | Path, **environment: str) -> Iterator[Server]:
    """Run `snowowl serve` on a free port of loopback, its log in JSON."""
    process = subprocess.Popen(
        command("serve", "--listen", "127.0.0.1:0", "--log-format", "json", *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT | environment,
        text=True,
    )
    assert process.stderr is not None
    try:
        warned = ""
        while "address" not in json.loads(ready := process.stderr.readline()):
            if WARNING not in ready:  # the tests' doing, not theirs
                warned += ready
        port = int(json.loads(ready)["address"].rpartition(":")[2])
        yield Server(process, port, ready, warned)
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Give a port that answers each datagram with the next of these, then with nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            left = list(answers)
            while not over.is_set():
                try:
                    peer = sock.recvfrom(65536)[1]
                except TimeoutError:
                    continue
                if left:
                    sock.sendto(left.pop(0), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            over.set()
            thread.join()
