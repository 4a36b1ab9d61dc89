"""The waits for tasks of Trio: they hold up nobody, can be cancelled, and take real time."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

import snowowl
from snowowl.testing.testserver import Server, ServerFailedError, serving

pytestmark = pytest.mark.real


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving({"uImage": b"kernel"}, writable=True) as server:
        yield server


async def test_a_client_in_the_same_program_is_waited_for(server: Server) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(snowowl.get, server.url("uImage"))
        nursery.start_soon(snowowl.put, b"text", server.url("log"))
        transfer = await server.trio.wait_for("uImage", timeout=30)
        assert await server.trio.wait_for_all("uImage") == (transfer,)
        assert await server.trio.wait_for_upload("log", timeout=30) == b"text"
    await server.trio.wait_until_quiet(0.01)


async def test_a_wait_that_fails_says_why(server: Server) -> None:
    with pytest.raises(AssertionError, match=r"uImage was not fetched completely within 0\.01 s"):
        await server.trio.wait_for("uImage", timeout=0.01)
    with pytest.raises(AssertionError, match="log was not uploaded"):
        await server.trio.wait_for_upload("log", timeout=0.01)
    with pytest.raises(AssertionError, match="was not quiet"):
        await server.trio.wait_until_quiet(60, timeout=0.01)


async def test_a_wait_that_is_cancelled_leaves_no_thread_that_waits(server: Server) -> None:
    waiting = threading.Event()
    wait = server.records.wait

    def told(*args: object) -> object:
        waiting.set()
        try:
            return wait(*args)  # type: ignore[arg-type]
        finally:
            waiting.clear()

    server.records.wait = told  # type: ignore[method-assign, assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.trio.wait_for_all, "uImage")
        await trio.to_thread.run_sync(waiting.wait)
        nursery.cancel_scope.cancel()
    with trio.fail_after(5):
        while waiting.is_set():
            await trio.sleep(0.001)


async def test_a_clock_that_jumps_does_not_hurry_a_board(
    server: Server, autojump_clock: MockClock
) -> None:
    del autojump_clock
    timer = threading.Timer(0.05, trio.run, [snowowl.get, server.url("uImage")])
    timer.start()
    transfer = await server.trio.wait_for("uImage", timeout=30)
    assert transfer.octets == 6
    await trio.to_thread.run_sync(timer.join)


async def test_a_server_that_ends_fails_its_async_block() -> None:
    async def boot() -> None:
        async with serving() as server:
            server.records.fail(OSError("planted"))
            with pytest.raises(ServerFailedError):
                await server.trio.wait_for("x", timeout=30)

    with pytest.raises(ServerFailedError, match="planted"):
        await boot()


async def test_an_async_block_that_is_cancelled_ends_its_server() -> None:
    with trio.CancelScope() as scope:
        async with serving() as server:
            scope.cancel()
            await trio.sleep_forever()
    assert not server._thread.is_alive()
