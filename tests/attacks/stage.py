"""Where attacks take place: loopback, or two network namespaces; a server, and boards beside it.

On loopback, forged addresses are this machine's own, so that each answer meets a closed port, and the
server hears of it.  Between namespaces nobody answers, as in the world: that is the harder test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import attrs

from tests.real.harness import REPOSITORY, environment, eventually

HONEST: Final = 10
BOARD_FILE: Final = "boot/small"
SMALL: Final = bytes(range(256)) * 160
BIG_OCTETS: Final = 8 << 20


@attrs.frozen
class Place:
    """Addresses of one stage, and the words that take a command to each side."""

    host: str
    forged: str
    boards: tuple[str, ...]
    held: tuple[str, ...]
    server_side: tuple[str, ...] = ()
    attacker_side: tuple[str, ...] = ()


LOOPBACK: Final = Place(
    "127.0.0.1",
    "127.64.0.0/10",
    tuple(f"127.1.0.{number}" for number in range(1, HONEST + 1)),
    tuple(f"127.2.{number}.1" for number in range(50)),
)


@contextmanager
def namespaces() -> Iterator[Place]:
    """Make two namespaces with a cable between them; they are gone at the end.  Needs root."""
    server, attacker = f"so-s{os.getpid()}", f"so-a{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    with ExitStack() as stack:
        for name in (server, attacker):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip(
            "-n",
            server,
            "link",
            "add",
            "so0",
            "type",
            "veth",
            "peer",
            "name",
            "so1",
            "netns",
            attacker,
        )
        ip("-n", server, "addr", "add", "10.9.0.1/24", "dev", "so0")
        ip("-n", server, "link", "set", "so0", "up")
        ip("-n", attacker, "addr", "add", "10.9.0.2/24", "dev", "so1")
        ip("-n", attacker, "link", "set", "so1", "up")
        ip("-n", server, "route", "add", "10.0.0.0/8", "via", "10.9.0.2")
        boards = tuple(f"10.8.0.{number}" for number in range(1, HONEST + 1))
        held = tuple(f"10.7.0.{number}" for number in range(1, 51))
        for address in (*boards, *held):
            ip("-n", attacker, "addr", "add", f"{address}/32", "dev", "so1")
        yield Place(
            "10.9.0.1",
            "10.64.0.0/10",
            boards,
            held,
            ("ip", "netns", "exec", server),
            ("ip", "netns", "exec", attacker),
        )


@attrs.define
class Watched:
    """A server under attack."""

    process: subprocess.Popen[bytes]
    port: int
    log_file: Path
    descriptors_max: int = 0

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        """Return the most memory that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def log_lines(self) -> int:
        """Return how many lines it has logged."""
        return self.log_file.read_bytes().count(b"\n")

    def look(self) -> None:
        """Note how many descriptors it has."""
        count = len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        self.descriptors_max = max(self.descriptors_max, count)


@contextmanager
def served(place: Place, config: str, *flags: str, before: Sequence[str] = ()) -> Iterator[Watched]:
    """Run a server with files to boot from, and a folder for uploads."""
    with tempfile.TemporaryDirectory(prefix="snowowl-attacked-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = folder / "root"
        for part in ("boot", "up"):
            (root / part).mkdir(parents=True)
        (root / "up").chmod(0o777)
        (root / BOARD_FILE).write_bytes(SMALL)
        (root / "boot/big").write_bytes(os.urandom(1 << 20) * (BIG_OCTETS >> 20))
        (folder / "snowowl.toml").write_text(config)
        log_file = folder / "log"
        words = ["-m", "snowowl", "serve", str(root), "--listen", f"{place.host}:0"]
        words += ["--config", str(folder / "snowowl.toml"), *flags]
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [*place.server_side, *before, sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd=REPOSITORY,
                env=environment(),
            )
        try:
            listening = f"listening on {place.host}:"
            assert eventually(lambda: listening in log_file.read_text(errors="replace"), 20)
            port = int(log_file.read_text().partition(listening)[2].split()[0])
            yield Watched(process, port, log_file)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@attrs.frozen
class Boots:
    """How boards fared."""

    took: tuple[float, ...]
    failures: tuple[str, ...]

    @property
    def share(self) -> float:
        """Return the part of the fetches that went well."""
        return len(self.took) / max(1, len(self.took) + len(self.failures))

    def quantile(self, part: float) -> float:
        """Return how long that part of the good fetches took at most, in seconds."""
        if not self.took:
            return float("nan")
        ordered = sorted(self.took)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def start(place: Place, module: str, *words: object) -> subprocess.Popen[bytes]:
    """Start a helper program on the attacker's side."""
    command = [*place.attacker_side, sys.executable, "-m", f"tests.attacks.{module}"]
    return subprocess.Popen(
        [*command, *map(str, words)], stdout=subprocess.PIPE, cwd=REPOSITORY, env=environment()
    )


def boot(place: Place, server: Watched, seconds: float) -> Boots:
    """Let the boards fetch for a while."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(SMALL)
        file.flush()
        process = start(
            place, "honest", place.host, server.port, seconds, file.name, BOARD_FILE, *place.boards
        )
        looking = threading.Event()

        def look() -> None:
            while not looking.wait(0.2):
                server.look()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            told = json.loads(process.communicate(timeout=seconds + 60)[0])
        finally:
            looking.set()
            thread.join()
    return Boots(tuple(told["took"]), tuple(told["failures"]))


def said(process: subprocess.Popen[bytes], seconds: float = 60) -> list[int]:
    """Return the numbers that a helper program prints at its end."""
    return [int(word) for word in process.communicate(timeout=seconds)[0].split()]


def settle(seconds: float) -> None:
    """Give the server time to deal with what is left."""
    time.sleep(seconds)
