"""What uploads may take together, from one configuration to the next."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from snowowl.config import Config, LimitsConfig, ServerConfig, WriteConfig
from snowowl.content.errors import ContentError
from snowowl.server.generation import Generation, Generations, open_generation
from snowowl.testing.simnetwork import SimNetwork


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return one that takes two uploads at a time."""
    return Config(
        server=ServerConfig(root=tmp_path),
        write=WriteConfig(enabled=True),
        limits=LimitsConfig(uploads_max=2),
    )


async def made(config: Config) -> Generation:
    return await open_generation(config, SimNetwork())


async def test_what_runs_counts_by_the_next_configuration_too(
    config: Config, tmp_path: Path
) -> None:
    generations = Generations(await made(config))
    before = generations.current.store
    async with await before.create(b"up", netascii=False, tsize=None) as sink:
        sink.store(b"\0\3\0\1x", 5, 1)
        stricter = attrs.evolve(config, limits=LimitsConfig(uploads_max=1))
        generations.replace(await made(stricter))
        store = generations.current.store
        with pytest.raises(ContentError) as caught:
            await store.create(b"other", netascii=False, tsize=None)
        assert caught.value.limit == "uploads_max"
        (tmp_path / "elsewhere").mkdir()
        server = attrs.evolve(config.server, root=tmp_path / "elsewhere")
        generations.replace(await made(attrs.evolve(stricter, server=server)))
        async with await generations.current.store.create(b"up", netascii=False, tsize=None):
            pass
        await sink.commit()
    assert before.allowance.uploads == 0
    generations.close()


async def test_a_quota_that_is_new_is_counted_at_once(config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    generations = Generations(await made(config))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(generations.keep_count)
        await trio.testing.wait_all_tasks_blocked()
        assert generations.current.store.allowance.used == 0
        limited = attrs.evolve(config, write=WriteConfig(enabled=True, quota=5000))
        generations.replace(await made(limited))
        allowance = generations.current.store.allowance
        with trio.fail_after(10):
            while allowance.used != 1000:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    generations.close()


async def test_workers_share_what_is_left_of_a_quota(config: Config) -> None:
    server = attrs.evolve(config.server, workers=4)
    write = WriteConfig(enabled=True, quota=4000)
    generation = await made(attrs.evolve(config, server=server, write=write))
    store = generation.store
    async with await store.create(b"up", netascii=False, tsize=1000):
        pass
    with pytest.raises(ContentError) as caught:
        await store.create(b"up", netascii=False, tsize=1001)
    assert caught.value.code == 3
    store.close()
