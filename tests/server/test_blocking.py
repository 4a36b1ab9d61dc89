"""What may hang holds nothing up: real threads here, unlike in the other tests of the server."""

from __future__ import annotations

import threading
from pathlib import Path

import attrs
import pytest
import trio

from snowowl.config import Config, LogConfig, ServerConfig
from snowowl.observe.events import Event, ServerReloaded
from snowowl.observe.observers import Observers
from snowowl.server.generation import Generations, open_generation
from snowowl.server.reloading import Reloading
from snowowl.testing.simnetwork import SimNetwork


@pytest.fixture
def _no_threads() -> None:
    """Take the place of the fixture by which what goes to a thread runs at once."""


async def test_a_folder_that_cannot_be_looked_at(tmp_path: Path) -> None:
    """Who names the keys that must stay looks at what lies at a path, which may be on a network."""
    gate, looks, events = threading.Event(), list[bool](), list[Event]()

    def unchangeable(_: Config) -> tuple[str, ...]:
        looks.append(gate.wait(2))
        return ()

    config = Config(server=ServerConfig(root=tmp_path))
    network = SimNetwork()
    generations = Generations(await open_generation(config, network))
    reloading = Reloading(config, generations, network, Observers([events.append]), unchangeable)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reloading.take, attrs.evolve(config, log=LogConfig(level="debug")))
        await trio.sleep(0.02)
        gate.set()
    assert looks == [True]
    assert [type(event) for event in events] == [ServerReloaded]
    generations.close()
