"""A program that speaks as a worker does, starts in no time, and misbehaves as it is told to.

What each start does is a file in a folder: `NUMBER` or else `all` (default `serve`); each start and
each `go` leaves a line in `log` there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

_PROGRAM = """
import json, os, socket, sys, time
folder, number = sys.argv[1:]
sock = socket.socket(fileno=0)
words = sock.makefile("rb")
order = json.loads(words.readline())

def tell(word, detail=""):
    sock.sendall(json.dumps([word, detail]).encode() + b"\\n")

def log(what):
    line = json.dumps([what, int(number), os.getpid(), order["config"]]) + "\\n"
    with open(os.path.join(folder, "log"), "ab", buffering=0) as file:
        file.write(line.encode())  # at once: others write, and the test reads

does = "serve"
for name in ("all", number):
    if os.path.exists(os.path.join(folder, name)):
        does = open(os.path.join(folder, name)).read()
log("start")
if does == "refuse":
    tell("failed", f"worker {number} does not want to")
    sys.exit(1)
if does == "die":
    sys.exit(3)
tell("ready")
if does.startswith("say "):
    sock.sendall(does[4:].encode() + b"\\n")
    time.sleep(60)
if does == "prattle":
    try:
        while True:
            sock.sendall(b"x" * 65536)
    except OSError:
        time.sleep(60)
for line in words:
    word, _ = json.loads(line)
    if word == "ping" and does not in ("deaf", "hang"):
        tell("pong")
        continue
    log(word)
    if does == "deaf" and word != "go":
        continue
    if word in ("drain", "retire"):
        tell("draining", "2")
        if does == "linger" or (does == "busy" and word == "retire"):
            continue
        break
    if word == "go" and does == "leave":
        tell("draining", "1")  # as after SIGTERM
    if word == "stop":
        break
if does == "deaf":
    time.sleep(60)
"""


@attrs.frozen
class Fake:
    """The fake workers of one test."""

    folder: Path

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-ISc", _PROGRAM, str(self.folder)]

    def does(self, what: str, number: int | None = None) -> None:
        """Have the next starts do this."""
        (self.folder / ("all" if number is None else str(number))).write_text(what)

    def log(self, *what: str) -> list[tuple[int, int]]:
        """Return (number, pid) of each time that some of this happened."""
        return [(number, pid) for word, number, pid, _ in self._entries() if word in what]

    def configs(self) -> list[dict[str, dict[str, object]]]:
        """Return what each start was told."""
        return [config for word, _, _, config in self._entries() if word == "start"]

    def _entries(self) -> list[tuple[str, int, int, dict[str, dict[str, object]]]]:
        file = self.folder / "log"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # gone before it was opened, or before it was read
        return False


async def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.005)


async def all_end(pids: list[int], seconds: float = 5.0) -> None:
    """Wait until processes have ended; fail if one does not in time."""
    await eventually(lambda: not any(map(is_alive, pids)), seconds)
