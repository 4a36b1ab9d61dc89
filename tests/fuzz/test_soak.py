"""The soaks, in small: they end well, they find what is planted, and they say so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuzz import soak_core, soak_server
from fuzz.machines import MachinePlay
from fuzz.soak import main, report_core
from snowowl.protocol.actions import Actions
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import State

OPEN = {"negotiating", "transferring", "committing", "dallying"}


def quiet(done: int) -> None:
    del done


def test_the_core_bears_some_thousand_datagrams_in_all_of_its_states() -> None:
    result = soak_core.soak(6000, 1, quiet)
    assert not result.finding
    assert result.datagrams >= 6000
    reached = {state.rpartition(" ")[2] for state, count in result.states.items() if count > 50}
    assert reached >= OPEN
    assert {state.partition(" ")[0] for state in result.states} == {
        *("ReadTransfer", "ReadInitiator", "WriteTransfer", "WriteInitiator")
    }
    assert len(result.growths()) == 2
    assert not any(growth.grows for growth in result.growths().values())
    assert report_core([result], 1.0) == 0


def test_the_same_seed_is_the_same_soak() -> None:
    first, second = soak_core.soak(200, 7, quiet), soak_core.soak(200, 7, quiet)
    assert first.states == second.states
    assert first.states != soak_core.soak(200, 8, quiet).states


def test_a_planted_leak_is_growth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[bytearray] = []

    def receive(play: MachinePlay, datagram: bytes) -> None:
        kept.append(bytearray(8))
        real(play, datagram)

    real: Callable[[MachinePlay, bytes], None] = MachinePlay.receive
    monkeypatch.setattr(MachinePlay, "receive", receive)
    result = soak_core.soak(6000, 1, quiet)
    assert result.growths()["memory blocks"].grows
    assert report_core([result], 1.0) == 1
    assert "memory blocks GROWS" in capsys.readouterr().out


def test_a_planted_bug_is_told_as_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answered(transfer: Sending, number: int, now: float) -> Actions:
        if transfer.state is State.TRANSFERRING and number == 65535:
            raise IndexError("planted")
        return real(transfer, number, now)

    real: Callable[[Sending, int, float], Actions] = Sending._ack_received
    monkeypatch.setattr(Sending, "_ack_received", answered)
    result = soak_core.soak(50_000, 1, quiet)
    assert result.datagrams < 50_000
    assert report_core([result], 1.0) == 1
    said = capsys.readouterr().out
    assert "IndexError: planted" in said
    program = "from fuzz.machines import " + said.partition("from fuzz.machines import ")[2]
    with pytest.raises(IndexError, match="planted"):
        exec(program.partition("\nFAILED")[0], {})


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["core", "--datagrams", "0"], 2),
        (["core", "--datagrams", "many"], 2),
        (["core", "--jobs", "0"], 2),
        (["none"], 2),
    ],
)
def test_usage(words: list[str], status: int) -> None:
    assert CliRunner().invoke(main, words).exit_code == status


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of memory and sockets")
def test_a_server_bears_some_hundred_datagrams() -> None:
    result = soak_server.soak("gso", "shared", 600, 1, quiet)
    assert not result.failure
    assert result.datagrams >= 600
    assert result.served > 3
    assert result.heard > 100
    assert len(result.rss) >= 10


def test_a_server_is_soaked_on_every_rung_in_every_way() -> None:
    assert len(set(soak_server.WAYS)) == 9


def test_on_a_system_without_proc_the_server_is_not_soaked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert CliRunner().invoke(main, ["server"]).exit_code == 3
