"""A sink that is broken, full or stuck: transfers do not notice, and what was lost is counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

import snowowl
from snowowl.observe import writer as writer_module
from snowowl.observe.audit import AuditObserver
from snowowl.observe.log import LogObserver
from snowowl.observe.writer import LineWriter
from snowowl.protocol.outcome import OutcomeKind
from tests.server.world import World


@pytest.fixture
def stuck_pipe() -> Iterator[int]:
    """A pipe that is full and that nobody reads."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    try:
        while True:
            os.write(writable, b"x" * 4096)
    except BlockingIOError:
        pass
    yield writable
    os.close(readable)
    os.close(writable)


@pytest.mark.parametrize("sink", ["full", "closed", "stuck"])
async def test_a_broken_sink_stops_no_transfer(
    tmp_path: Path, sink: str, stuck_pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real descriptors, for the log and for the audit stream."""
    monkeypatch.setattr(writer_module, "LINES_MAX", 5)
    monkeypatch.setattr(writer_module, "FLUSH_SECONDS", 0.1)
    world = World(tmp_path)
    world.file("file", b"x" * 1000)
    if sink == "full":
        fd = os.open("/dev/full", os.O_WRONLY)
    elif sink == "closed":
        readable, fd = os.pipe()
        os.close(readable)
    else:
        fd = os.dup(stuck_pipe)
    log, audit = LineWriter(fd), LineWriter(fd)
    drain = trio.Event()
    with trio.fail_after(20):
        async with trio.open_nursery() as writing:
            for writer in (log, audit):
                writing.start_soon(writer.run)
            async with trio.open_nursery() as nursery:
                observers = (
                    world._tell,
                    LogObserver(log.write, form="json", level="debug"),
                    AuditObserver(audit.write),
                )
                serve = partial(
                    snowowl.serve, observers=observers, network=world.network, drain=drain
                )
                await nursery.start(serve, world.config())
                for _ in range(10):
                    assert len(await world.get("file")) == 1000
                drain.set()
            log.close()
            audit.close()
    world.check()
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 10
    assert log.lost > 10
    assert audit.lost > 10
