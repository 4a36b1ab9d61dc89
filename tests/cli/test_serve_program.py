"""The program around a server: who hears of what, whoever fails to."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.cli.serve_program import _Program
from snowowl.config import AuditConfig, Config, MetricsConfig
from snowowl.observe.events import Event, ReloadFailed, ServerReloaded

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")


@pytest.fixture(autouse=True)
def _unchanged_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def program(tmp_path: Path) -> _Program:
    """Return one that writes an audit stream and has metrics."""
    made = _Program(
        Config(
            audit=AuditConfig(file=tmp_path / "audit"), metrics=MetricsConfig(listen="127.0.0.1:0")
        )
    )
    made.open_outputs()
    return made


async def test_a_reload_that_cannot_be_read_is_counted_and_recorded(
    program: _Program, tmp_path: Path
) -> None:
    """The server does not know of it: the configuration never gets as far."""
    outputs = program.outputs
    assert outputs is not None
    assert outputs.metrics is not None
    async with outputs.running():
        program.tell(ReloadFailed("snowowl.toml:3: no"))
    (line,) = map(json.loads, (tmp_path / "audit").read_text().splitlines())
    assert (line["event"], line["reason"]) == ("reload-failed", "snowowl.toml:3: no")
    assert outputs.metrics.snapshot()["snowowl_reloads_total"] == {"ok": [0], "failed": [1]}


async def test_a_log_that_fails_keeps_no_other_from_hearing(
    program: _Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else systemd would wait for the word that a reload is over, and so would the next SIGHUP."""
    heard: list[Event] = []

    def fail(_: Event) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(program, "observe", fail)
    monkeypatch.setattr(program.reloads, "observe", heard.append)
    event = ServerReloaded("/srv", ())
    program.tell(event)
    assert heard == [event]
    assert program.outputs is not None
    program.outputs.close()
