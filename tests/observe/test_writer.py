"""The log's writer: nothing that it writes to can hold up the event loop or the end of the program."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from snowowl.observe import writer as module
from snowowl.observe.writer import FLUSH_SECONDS, LineWriter, stderr_descriptor, write_all

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    readable, writable = os.pipe()
    yield readable, writable
    for fd in (readable, writable):
        with contextlib.suppress(OSError):
            os.close(fd)


def fill(fd: int) -> None:
    """Write until the pipe takes no more."""
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(fd, True)


async def written(fd: int, *lines: str) -> LineWriter:
    writer = LineWriter(fd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for line in lines:
            writer.write(line)
        writer.close()
    return writer


async def test_a_pipe(pipe: Pipe) -> None:
    await written(pipe[1], "first", "é\udcff", "last")
    assert os.read(pipe[0], 1000) == b"first\n\xc3\xa9\\udcff\nlast\n"


async def test_a_file(tmp_path: Path) -> None:
    lines = [f"line {number} {'x' * 100}" for number in range(3000)]
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    await written(fd, *lines)
    os.close(fd)
    assert (tmp_path / "log").read_text().splitlines() == lines


async def test_devices() -> None:
    for name, lost in (("/dev/null", 0), ("/dev/full", 2)):
        fd = os.open(name, os.O_WRONLY)
        assert (await written(fd, "a", "b")).dropped == lost
        os.close(fd)


async def test_a_reader_that_went_away(pipe: Pipe) -> None:
    os.close(pipe[0])
    assert (await written(pipe[1], "a", "b")).dropped == 2


async def test_a_reader_that_is_stuck(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 10)
    fill(pipe[1])
    writer = LineWriter(pipe[1])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            writer.write("in flight")
            await trio.sleep(0.02)
            for number in range(15):
                writer.write(f"{number}")
            assert writer.dropped == 5
            read = b""
            while not read.endswith(b"lost: nobody read them\n"):
                await trio.sleep(0.01)
                read += os.read(pipe[0], 65536)
            writer.write("after")
            writer.close()
    read += os.read(pipe[0], 65536)
    told = read.lstrip(b"x").decode().splitlines()
    assert told[0] == "in flight"
    assert told[1:11] == [str(number) for number in range(10)]
    assert "5 log lines were lost: nobody read them" in told
    assert told[-1] == "after"
    assert writer.dropped == 0


@pytest.mark.parametrize("end", ["close", "cancel"])
async def test_a_stuck_reader_delays_the_end_by_a_second_at_most(
    end: str, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.1)
    assert FLUSH_SECONDS <= 1
    fill(pipe[1])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            writer = LineWriter(pipe[1])
            nursery.start_soon(writer.run)
            writer.write("never read")
            await trio.sleep(0.02)
            if end == "close":
                writer.close()
            else:
                nursery.cancel_scope.cancel()
    os.close(pipe[0])  # lets the thread go


async def test_cancelled_it_writes_what_waits(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await trio.sleep(0.01)
        for number in range(100):
            writer.write(f"{number}")
        nursery.cancel_scope.cancel()
    assert os.read(pipe[0], 65536).decode().split() == [str(number) for number in range(100)]


async def test_a_non_blocking_pipe_that_is_full_is_waited_for(pipe: Pipe) -> None:
    fill(pipe[1])
    os.set_blocking(pipe[1], False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, write_all, pipe[1], b"late")
        await trio.sleep(0.02)
        while not os.read(pipe[0], 65536).endswith(b"late"):
            await trio.sleep(0.005)


async def test_without_a_thread_lines_are_lost_and_nothing_else(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_thread(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    writer = LineWriter(pipe[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", no_thread)
            writer.write("lost")
            await trio.sleep(0.02)
        writer.write("kept")
        writer.close()
    assert "kept" in os.read(pipe[0], 65536).decode()


async def test_a_write_has_a_size(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as the kernel does not tear; a line that is longer goes alone."""
    writes: list[bytes] = []

    def note(_: int, octets: bytes) -> tuple[int, None]:
        writes.append(octets)
        return len(octets), None

    monkeypatch.setattr(module, "write_until_error", note)
    writer = LineWriter(pipe[1], write_max=100)
    lines = ["a" * 49, "b" * 49, "c", "d" * 300, "e"]
    writer.dropped = 3
    for line in lines:
        writer.write(line)
    writer.close()
    await writer.run()
    told = b"3 log lines were lost: nobody read them\n"
    whole = [line.encode() + b"\n" for line in lines]
    assert writes == [whole[0] + told, whole[1] + whole[2], whole[3], whole[4]]


def test_stderr_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    fd = stderr_descriptor()
    assert os.write(fd, b"x") == 1
    assert os.fstat(fd).st_rdev == Path(os.devnull).stat().st_rdev
    os.close(fd)
