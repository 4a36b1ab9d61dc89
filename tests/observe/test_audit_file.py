"""The file of the audit stream: whatever becomes of it, transfers do not notice, and the log is told."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from snowowl.observe import audit_file
from snowowl.observe import writer as writer_module
from snowowl.observe.audit_file import AuditError, AuditStream
from snowowl.observe.events import Event, LinesLost, ServerDraining, ServerStopped

DRAINING = ServerDraining(1, 2.0)


@pytest.fixture
def log() -> list[Event]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def events(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def run(stream: AuditStream, *told: Event) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run)
        for event in told:
            stream(event)
        stream.close()


async def test_lines_are_appended(path: Path, log: list[Event], umask: None) -> None:
    await run(AuditStream(path, log.append), DRAINING)
    await run(AuditStream(path, log.append, worker=3), ServerStopped())
    assert events(path) == ["server-draining", "server-stopped"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert log == []


@pytest.mark.parametrize("kind", ["folder", "missing", "fifo"])
def test_what_cannot_be_appended_to_is_told_at_once(
    kind: str, path: Path, log: list[Event]
) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)  # that nobody reads: opening it must not wait
    else:
        path = path / "x"
    with pytest.raises(AuditError, match=r"to the audit file .*\(audit.file\) as user daemon: "):
        AuditStream(path, log.append, who="user daemon")


async def test_it_goes_on_in_a_new_file(path: Path, log: list[Event]) -> None:
    stream = AuditStream(path, log.append)
    before = descriptors()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run)
        stream(DRAINING)
        await trio.testing.wait_all_tasks_blocked(0.01)
        rotated = path.rename(path.with_suffix(".1"))
        stream(DRAINING)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.reopen()
        await stream.reopen()
        stream(ServerStopped())
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert descriptors() == before
        with pytest.raises(AuditError):
            await stream.reopen(path / "x")
        stream(ServerStopped())
        stream.close()
    assert events(rotated) == ["server-draining"] * 2
    assert events(path) == ["server-stopped"] * 2
    assert descriptors() == before - 1


async def test_a_full_disk_loses_lines_and_is_told_now_and_then(
    log: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit_file.LOOK_SECONDS == 60
    monkeypatch.setattr(audit_file, "LOOK_SECONDS", 0.15)
    stream = AuditStream(Path("/dev/full"), log.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run)
        for _ in range(90):
            stream(DRAINING)
            await trio.sleep(0.002)
        stream.close()
    lost = [event for event in log if isinstance(event, LinesLost)]
    assert 2 <= len(lost) == len(log) < 20  # the first, each time that has passed, the end
    assert lost[0] == LinesLost("the audit stream", 1, "No space left on device")
    assert sum(event.count for event in lost) == 90


async def test_a_line_that_a_full_disk_cut_off_spoils_no_other(
    path: Path, log: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [1000]

    def write(fd: int, octets: memoryview) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = min(len(octets), room[0])
        room[0] -= count
        return writes(fd, octets[:count])

    writes = os.write
    stream = AuditStream(path, log.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            for _ in range(20):
                stream(DRAINING)
            while not log:
                await trio.sleep(0.01)
        stream(ServerStopped())
        stream.close()
    torn = 0
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            torn += 1
    assert torn == 1
    whole = [line["event"] for line in found].count("server-draining")
    (lost,) = log
    assert isinstance(lost, LinesLost)
    assert whole + lost.count == 20
    assert [line["count"] for line in found if line["event"] == "lines-lost"] == [lost.count]
    assert "server-stopped" in {line["event"] for line in found}


async def test_a_fifo_that_is_stuck_holds_up_nothing(
    path: Path, log: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.1)
    monkeypatch.setattr(writer_module, "LINES_MAX", 10)
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        stream = AuditStream(path, log.append)
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.run)
                while not log:
                    stream(DRAINING)
                    await trio.sleep(0)
                stream.close()
        assert isinstance(log[0], LinesLost)
        assert "nobody reads" in log[0].reason
    finally:
        os.close(reader)
