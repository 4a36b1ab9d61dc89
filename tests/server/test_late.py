"""A server that was not scheduled for a while does not take its own lateness for a loss.

When it runs again, the answer is there and so is the time to send again.  Which of the two tasks runs
first is chance, so each story is told with several seeds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import pytest
import trio

from snowowl.protocol.outcome import OutcomeKind
from snowowl.testing.link import Link
from snowowl.testing.playbook import ack, data, error, oack
from snowowl.testing.simulation import Simulation, simulate
from tests.server.world import Board, Tid, World, finished, rrq, wrq

BLOCKS = 20
SEEDS = range(4)

Story = Callable[[Simulation, Board], Awaitable[None]]


def play(folder: Path, tid: Tid, seed: int, story: Story) -> None:
    """Tell a story with a server and a board; nothing may have been sent twice in it."""
    world = World(folder)
    world.file("file", bytes(512 * BLOCKS))

    async def program(simulation: Simulation) -> None:
        async with world.serving(world.config(tid)):
            board = world.board()
            await story(simulation, board)
        board.endpoint.close()

    simulate(program, seed=seed, network=world.network)
    event = finished(world)
    assert (event.outcome.kind, event.retransmitted) == (OutcomeKind.COMPLETED, 0)


@pytest.mark.rule("R6")
@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("seed", SEEDS)
def test_an_ack_that_waits_comes_before_the_timer(tmp_path: Path, tid: Tid, seed: int) -> None:
    """A DATA that comes twice stops a Raspberry Pi."""

    async def read(simulation: Simulation, board: Board) -> None:
        packet, source = await board.ask(rrq("file"))
        for number in range(1, BLOCKS + 1):
            assert packet == data(number, bytes(512))
            board.send(ack(number), source)
            simulation.stand_still(3.0)
            packet, _ = await board.receive()
        assert packet == data(BLOCKS + 1)
        board.send(ack(BLOCKS + 1), source)
        assert await board.hears_nothing()

    play(tmp_path, tid, seed, read)


@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("seed", SEEDS)
def test_data_that_waits_does_so_too(tmp_path: Path, tid: Tid, seed: int) -> None:
    async def write(simulation: Simulation, board: Board) -> None:
        packet, source = await board.ask(wrq("up"))
        for number in range(BLOCKS):
            assert packet == ack(number)
            board.send(data(number + 1, bytes(512)), source)
            simulation.stand_still(3.0)
            packet, _ = await board.receive()
        assert await board.ask(data(BLOCKS + 1), source) == (ack(BLOCKS + 1), source)

    play(tmp_path, tid, seed, write)


@pytest.mark.rule("R6")
@pytest.mark.parametrize("tid", ["shared", "own"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_error_of_the_socket_hides_no_ack_that_waits(
    tmp_path: Path, tid: Tid, seed: int
) -> None:
    """A reset board that answers no ARP has an error told to the socket that it shares with others."""

    async def read(simulation: Simulation, board: Board) -> None:
        packet, source = await board.ask(rrq("file"))
        for number in range(1, BLOCKS + 1):
            assert packet == data(number, bytes(512))
            board.send(ack(number), source)
            simulation.network.endpoints[source].receive_errors = 1
            simulation.stand_still(3.0)
            packet, _ = await board.receive()
        board.send(ack(BLOCKS + 1), source)
        assert await board.hears_nothing()

    play(tmp_path, tid, seed, read)


@pytest.mark.parametrize("tid", ["shared", "own"])
@pytest.mark.parametrize("seed", SEEDS)
def test_that_a_port_is_closed_is_heard_before_the_timer(
    tmp_path: Path, tid: Tid, seed: int
) -> None:
    world = World(tmp_path)
    world.file("file", bytes(512 * BLOCKS))
    world.network.link = Link(delay_seconds=0.01)

    async def program(simulation: Simulation) -> None:
        async with world.serving(world.config(tid)):
            board = world.board()
            _, source = await board.ask(rrq("file"))
            board.send(ack(1), source)
            board.endpoint.close()
            await trio.sleep(0.025)  # the news of what met DATA 2 is on its way
            simulation.stand_still(3.0)

    simulate(program, seed=seed, network=world.network)
    event = finished(world)
    assert (event.outcome.kind, event.retransmitted) == (OutcomeKind.UNREACHABLE, 0)


# What a peer sent to another socket before it asked is heard first.


@pytest.mark.rule("R5")
@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_ack_is_heard_before_the_next_request(tmp_path: Path, tid: Tid, seed: int) -> None:
    """A board that always asks from one port asks for the next file right behind its last ACK."""
    world = World(tmp_path)
    world.network.shares_memory = True
    world.file("file", bytes(100))

    async def program(simulation: Simulation) -> None:
        async with world.serving(world.config(tid)):
            board = world.board()
            board.send(rrq("file"))
            for _ in range(6):
                packet, source = await board.receive()
                assert packet == data(1, bytes(100))
                board.send(ack(1), source)
                board.send(rrq("file"))
                simulation.stand_still(0.5)
            packet, source = await board.receive()
            board.send(ack(1), source)
            assert await board.hears_nothing(5)
        board.endpoint.close()

    simulate(program, seed=seed, network=world.network)
    assert world.outcomes() == [OutcomeKind.COMPLETED] * 7


@pytest.mark.rule("R4")
@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("seed", SEEDS)
def test_the_end_of_a_probe_is_heard_before_the_next_request(
    tmp_path: Path, tid: Tid, seed: int
) -> None:
    """Also if that is the same again."""
    world = World(tmp_path)
    world.network.shares_memory = True
    world.file("file", bytes(100))

    async def program(simulation: Simulation) -> None:
        async with world.serving(world.config(tid)):
            board = world.board()
            board.send(rrq("file", tsize=0))
            for _ in range(6):
                packet, source = await board.receive()
                assert packet == oack(tsize=100)
                board.send(error(8, "User aborted the transfer"), source)
                board.send(rrq("file", tsize=0))
                simulation.stand_still(0.5)
            packet, source = await board.receive()
            assert await board.ask(ack(0), source) == (data(1, bytes(100)), source)
            board.send(ack(1), source)
            assert await board.hears_nothing(5)
        board.endpoint.close()

    simulate(program, seed=seed, network=world.network)
    assert world.outcomes() == [OutcomeKind.PROBED] * 6 + [OutcomeKind.COMPLETED]
