"""Who holds a generation, when it closes, and an opening that nobody waits for any more."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl.config import Config, ServerConfig
from snowowl.content.errors import ContentError
from snowowl.server.errors import RootError
from snowowl.server.generation import Generation, Generations, _Opening, open_generation
from snowowl.testing.determinism import threads_inline
from snowowl.testing.simnetwork import SimNetwork


def config_of(root: Path) -> Config:
    return Config(server=ServerConfig(root=root))


async def opened(root: Path) -> Generation:
    return await open_generation(config_of(root), SimNetwork())


def is_open(generation: Generation) -> bool:
    try:
        generation.store.open_now(b"missing", netascii=False)
    except ContentError as error:
        return error.message == "file not found"
    return True


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_closes_with_the_last_that_holds_it(tmp_path: Path) -> None:
    first, second = await opened(tmp_path), await opened(tmp_path)
    generations = Generations(first)
    first.hold()
    with first.held():
        generations.replace(second)
        assert generations.current is second
        assert (is_open(first), len(generations)) == (True, 2)
    assert is_open(first)
    first.let_go()
    assert (is_open(first), is_open(second), len(generations)) == (False, True, 1)
    generations.close()
    generations.close()
    assert (is_open(second), len(generations)) == (False, 0)


async def test_what_nobody_holds_closes_at_once(tmp_path: Path) -> None:
    generations = Generations(await opened(tmp_path))
    with generations.current.held():
        pass  # the current one stays open without holders
    assert is_open(generations.current)
    before = descriptors()
    for _ in range(5):
        generations.replace(await opened(tmp_path))
        assert descriptors() == before
    generations.close()
    assert descriptors() < before


async def test_what_is_held_keeps_no_file_that_nobody_reads(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100_000))
    nothing = descriptors()
    generations = Generations(await opened(tmp_path))
    before = descriptors()
    both = before + (before - nothing)
    first = generations.current
    first.hold()
    (await first.store.open(b"large", netascii=False)).close()
    assert descriptors() > before  # the next one may come at once
    generations.replace(await opened(tmp_path))
    assert descriptors() == both
    # Who waited for its turn can still open what it asked for.
    source = await first.store.open(b"large", netascii=False)
    assert source.size == 100_000
    source.close()
    del source
    assert descriptors() == both
    first.let_go()
    generations.close()


async def test_a_root_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RootError, match="no such directory"):
        await opened(tmp_path / "missing")


async def test_cancelled_it_waits_for_no_dead_disk(tmp_path: Path, clock: MockClock) -> None:
    with threads_inline(lambda: 1e9):
        since = trio.current_time()
        with trio.move_on_after(5) as scope:
            await opened(tmp_path)
    assert scope.cancelled_caught
    assert trio.current_time() - since == pytest.approx(5)


@pytest.mark.parametrize("opened_first", [False, True])
def test_what_was_abandoned_is_closed(tmp_path: Path, *, opened_first: bool) -> None:
    before = descriptors()
    opening = _Opening(config_of(tmp_path))
    steps = [opening.open, opening.abandon]
    for step in steps if opened_first else reversed(steps):
        step()
    assert descriptors() == before


async def test_a_store_obeys_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"octets")
    config = config_of(tmp_path)
    for backslash in (True, False):
        names = attrs.evolve(config.names, backslash=backslash)
        generation = await open_generation(attrs.evolve(config, names=names), SimNetwork())
        if backslash:
            (await generation.store.open(b"a\\b", netascii=False)).close()
        else:
            with pytest.raises(ContentError, match="not found"):
                await generation.store.open(b"a\\b", netascii=False)
        generation.store.close()
