"""Servers that a command starts: started again, told apart by their last words, gone at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from snowowl.testing.fuzzing.owned import arguments, running, shape_of
from snowowl.testing.fuzzing.processes import tree_of, usage_of
from snowowl.testing.fuzzing.target import Foreign, UnstartableError

pytestmark = pytest.mark.real

FRAIL = str(Path(__file__).with_name("frail.py"))


async def test_a_server_and_its_children_are_gone_at_the_end(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time;"
        "subprocess.Popen(['sleep', '600']); print('ready', flush=True); time.sleep(600)"
    )
    async with running([sys.executable, "-c", script]) as owned:
        await owned.restart()
        assert owned.death() is None
        with trio.fail_after(10):
            while owned.last_words() != "ready":
                await trio.sleep(0.01)
        first = owned._process
        assert first is not None
        assert len(tree_of(first.pid)) == 2
        usage = await owned.usage()
        assert usage is not None
        assert usage.processes == 2
        assert usage.descriptors > 2
        assert usage.memory > 1 << 20
        await owned.restart()
        assert not tree_of(first.pid)
        second = owned._process
        assert second is not None
    assert not tree_of(second.pid)
    assert owned.starts == 2


async def test_how_a_server_died() -> None:
    code = "import sys; print('x'); raise ValueError('of \\xff')"
    async with running([sys.executable, "-c", code]) as owned:
        await owned.restart()
        with trio.fail_after(10):
            while owned.death() is None:
                await trio.sleep(0.01)
        assert owned.death() == "exit status 1"
        complaint = owned.complaint()
        assert complaint.startswith("ValueError: of ")
        assert shape_of(complaint) == "ValueError"
        assert owned.complaint() == ""  # it was said already
    async with running([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) as owned:
        await owned.restart()
        with trio.fail_after(10):
            while owned.death() is None:
                await trio.sleep(0.01)
        assert owned.death() == "killed by SIGKILL"


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("UnicodeDecodeError: 'ascii' codec can't decode byte 0xff", "UnicodeDecodeError"),
        ("struct.error: unpack requires 2 bytes", "struct.error"),
        ("asyncio.exceptions.CancelledError", "CancelledError"),
        ("served: buf.c:12: get: Assertion `n > 0' failed.", "Assertion `n > 0' failed"),
        ("thread 'main' panicked at src/main.rs", "panic"),
        ("Listening on port 69", ""),
        ("2026-01-01 [ERROR] no file", ""),
    ],
)
def test_what_a_server_says_is_told_apart(line: str, shape: str) -> None:
    assert shape_of(line) == shape


async def test_a_server_that_writes_for_ever_fills_nothing() -> None:
    code = "while True: print('ValueError: ' + 'x' * 1000)"
    async with running([sys.executable, "-c", code]) as owned:
        await owned.restart()
        with trio.fail_after(10):
            for _ in range(20):  # it is read while it writes, and nothing is ever full
                while not owned.complaint():
                    await trio.sleep(0.002)
        assert len(owned.last_words()) <= 200
        process = owned._process
        assert process is not None
        for number in (1, 2):
            assert Path(f"/proc/{process.pid}/fd/{number}").is_fifo(), "and no file grows"


async def test_what_goes_wrong_meanwhile_is_raised_as_it_is() -> None:
    async def use() -> None:
        async with running(["sleep", "600"]) as owned:
            await owned.restart()
            raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await use()


async def test_what_cannot_be_started() -> None:
    async with running(["/nonexistent/served"]) as owned:
        with pytest.raises(UnstartableError, match="cannot start /nonexistent/served"):
            await owned.restart()


def test_the_command_says_where_the_port_goes() -> None:
    assert arguments("served --port={port} '{port} x'", 69) == ["served", "--port=69", "69 x"]
    with pytest.raises(ValueError, match="does not say"):
        arguments("served", 69)
    with pytest.raises(ValueError, match="empty"):
        arguments(" ", 69)
    with pytest.raises(ValueError, match="quotation"):
        arguments("served 'x {port}", 69)


async def test_a_process_of_others() -> None:
    process = await trio.lowlevel.open_process(["sleep", "600"])
    try:
        foreign = Foreign(process.pid)
        assert foreign.death() is None
        assert await foreign.usage() == usage_of(process.pid)
    finally:
        process.kill()
        await process.wait()
    assert foreign.death() == f"process {process.pid} is gone"
    assert await Foreign().usage() is None
    assert Foreign().death() is None
    assert usage_of(os.getpid()) is not None
