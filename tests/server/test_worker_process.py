"""A worker process: started so that it finds the same snowowl, ended whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from snowowl.config import Config
from snowowl.server import worker_process as module
from snowowl.server.channel import Order
from snowowl.server.worker_process import Worker, worker_command, worker_environment
from tests.server.fakeworker import Fake, eventually, is_alive

pytestmark = pytest.mark.real

ORDER = Order(Config(), (), colors=False)


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "killed by SIGKILL"),
        (signal.SIGRTMIN + 3, f"killed by signal {signal.SIGRTMIN + 3}"),
    ],
)
async def test_its_life(fake: Fake, number: int, reason: str) -> None:
    worker = Worker(3)
    worker.go()  # nobody is there yet
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, fake.command, ORDER)
        await worker.settled.wait()
        assert (worker.is_ready, worker.reason, worker.drained.is_set()) == (True, "", False)
        worker.go()
        await eventually(lambda: fake.log("go") == [(3, worker.pid)])
        os.kill(worker.pid, number)
        await worker.ended.wait()
    assert worker.reason == reason
    assert worker.drained.is_set()
    worker.kill()  # it is not there any more, and no harm done
    worker.drain()


async def test_it_drains(fake: Fake) -> None:
    worker = Worker(1)
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, fake.command, ORDER)
        await worker.settled.wait()
        worker.drain()
        await worker.drained.wait()
    assert (worker.active, worker.reason) == (2, "somebody sent it SIGTERM")


async def test_its_last_words_are_heard(fake: Fake) -> None:
    fake.does("refuse")
    worker = Worker(1)
    await worker.run(fake.command, ORDER)
    assert not worker.is_ready
    assert worker.settled.is_set()
    assert worker.reason == "worker 1 does not want to"


@pytest.mark.parametrize(
    "does",
    ["prattle"]
    + [
        f"say {words}"
        for words in ("x", "[1]", '["draining", "many"]', '["failed", {}]', "[" * 50_000)
    ]
    + ['say ["counts", "[]"]'],
)
async def test_nonsense_ends_it_and_nothing_else(fake: Fake, does: str) -> None:
    """Its words come from a process that the network talks to."""
    fake.does(does)
    worker = Worker(1)
    with trio.fail_after(10):
        await worker.run(fake.command, ORDER)
    assert worker.reason == "it talked nonsense"
    assert not is_alive(worker.pid)


async def test_kill(fake: Fake) -> None:
    fake.does("deaf")
    worker = Worker(1)
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run, fake.command, ORDER)
        worker.kill()
    assert worker.reason == "killed by SIGKILL"


@pytest.mark.parametrize("does", ["serve", "deaf"])
async def test_cancelled_at_any_time(
    fake: Fake, does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    fake.does(does)
    for seconds in (0, 0.001, 0.01, 0.03, 0.1):
        worker = Worker(1)
        with trio.move_on_after(seconds) as scope:
            await worker.run(fake.command, ORDER)
        assert scope.cancelled_caught
        assert worker.ended.is_set()
        assert not is_alive(worker.pid)


async def test_something_else_holds_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of the worker's that lives on is nobody to wait for."""
    monkeypatch.setattr(module, "HANG_UP_SECONDS", 0.05)
    child = "import os, time; os.fork() or time.sleep(2)"
    worker = Worker(1)
    with trio.fail_after(1):
        await worker.run([sys.executable, "-ISc", child], ORDER)
    assert worker.reason == "somebody sent it SIGTERM"


def test_it_imports_from_where_we_do(tmp_path: Path) -> None:
    """Even if something in the working directory has the name of a module."""
    (tmp_path / "trio.py").write_text("raise SystemExit('imported from the folder that is served')")
    result = subprocess.run(
        [*worker_command(), "1"],
        cwd=tmp_path,
        env=worker_environment(dict(os.environ), sys.path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 64
    assert result.stderr == b"snowowl: workers are started by `snowowl serve`, see server.workers\n"


def test_how_this_python_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flags:
        no_user_site = 1
        optimize = 2
        ignore_environment = 1

    monkeypatch.setattr(sys, "flags", Flags)
    assert worker_command()[1:] == ("-P", "-s", "-OO", "-m", "snowowl.server.worker_main")
    environ = {"PYTHONPATH": "/evil", "PYTHONWARNINGS": "error", "HOME": "/"}
    assert worker_environment(environ, ["/a", "/b"]) == {"PYTHONPATH": "/a:/b", "HOME": "/"}
