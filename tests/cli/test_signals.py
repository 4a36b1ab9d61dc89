"""Whether SIGHUP says that the terminal has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")

SCRIPT = """
import fcntl, os, signal, sys, termios
os.setsid()
if "terminal" in sys.argv:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_IGN if "nohup" in sys.argv else signal.SIG_DFL)
from snowowl.cli.signals import Terminal
terminal = Terminal.find()
signal.signal(signal.SIGHUP, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it may come before it is waited for
print("found" if terminal else "none", flush=True)
if terminal:
    print(terminal.is_gone(), flush=True)
    signal.sigwait({signal.SIGHUP})
    print(terminal.is_gone(), flush=True)
"""


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the script with a terminal as its stdin; give that terminal's other side, too."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        stdin=theirs,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        text=True,
    ) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()


def test_it_is_found_and_its_end_is_seen() -> None:
    with running("terminal") as (process, terminal):
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["found\n", "False\n"]
        os.close(terminal)
        assert process.stdout.readline() == "True\n"


@pytest.mark.parametrize("words", [(), ("terminal", "nohup")], ids=["not ours", "nohup"])
def test_there_is_none_to_lose(words: tuple[str, ...]) -> None:
    with running(*words) as (process, terminal):
        assert process.communicate(timeout=10)[0] == "none\n"
        os.close(terminal)
