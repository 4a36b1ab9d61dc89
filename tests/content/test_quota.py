"""A quota: what counts for it, when that is counted, and for whom."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from snowowl.content import store as store_module
from snowowl.content.allowance import Allowance, Limits
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules
from snowowl.content.store import COUNT_AGE_SECONDS, COUNT_SECONDS, Store, WritePolicy
from snowowl.wire.constants import ErrorCode
from tests.content.test_store import UPLOADS, send_up


async def test_a_quota_is_of_all_files_that_may_be_uploaded(root: Path) -> None:
    allowance = Allowance(Limits(quota=1000))
    policy = WritePolicy(enabled=True, overwrite=True, patterns=("dir/*",))
    (root / "dir/old").write_bytes(bytes(600))
    store = Store(root, rules=NameRules(), policy=policy, allowance=allowance)
    await send_up(store, b"dir/new", bytes(300))
    with pytest.raises(ContentError) as caught:
        await send_up(store, b"dir/more", bytes(101))
    assert caught.value.code is ErrorCode.DISK_FULL
    await send_up(store, b"dir/old", bytes(700))  # a difference of 100
    assert (allowance.used, allowance.held) == (1000, 0)
    await send_up(store, b"dir/old", bytes(10))
    await send_up(store, b"dir/more", bytes(101))
    assert allowance.used == 411
    store.close()


async def test_what_others_delete_makes_room(
    root: Path, autojump_clock: trio.testing.MockClock
) -> None:
    allowance = Allowance(Limits(quota=1000))
    policy = WritePolicy(enabled=True, patterns=("dir/*",))
    store = Store(root, rules=NameRules(), policy=policy, allowance=allowance)
    await send_up(store, b"dir/a", bytes(900))
    (root / "dir/a").unlink()
    with pytest.raises(ContentError):  # counted just now
        await send_up(store, b"dir/b", bytes(200))
    await trio.sleep(COUNT_AGE_SECONDS + 1)
    await send_up(store, b"dir/b", bytes(200))
    (root / "dir/b").unlink()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.keep_count)
        while allowance.used:
            await trio.sleep(COUNT_SECONDS)  # no thread is waited for by this clock
        nursery.cancel_scope.cancel()
    store.close()


@pytest.mark.parametrize("error", [OSError(24, "no descriptors"), RuntimeError("no threads")])
async def test_a_count_that_fails_ends_nothing(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    error: Exception,
) -> None:
    fails = [error, error]

    def count(*_: object) -> int:
        if fails:
            raise fails.pop()
        return 500

    monkeypatch.setattr(store_module, "count", count)
    allowance = Allowance(Limits(quota=1000))
    store = Store(root, rules=NameRules(), policy=UPLOADS, allowance=allowance)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.keep_count)
        while not allowance.used:
            await trio.sleep(COUNT_SECONDS)
        nursery.cancel_scope.cancel()
    store.close()


async def test_uploads_that_wait_for_a_count_share_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(*arguments: object) -> int:
        counted.append(1)
        return 500

    monkeypatch.setattr(store_module, "count", count)
    allowance = Allowance(Limits(quota=1000))
    store = Store(root, rules=NameRules(), policy=UPLOADS, allowance=allowance)

    async def ask(tsize: int) -> None:
        with suppress(ContentError):
            async with await store.create(b"new", netascii=False, tsize=tsize):
                pass

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(ask, 100 * number)
    assert len(counted) == 1
    store.close()


async def test_the_next_store_counts_on(root: Path) -> None:
    allowance = Allowance(Limits(uploads_max=1))
    old = Store(root, rules=NameRules(), policy=UPLOADS, allowance=allowance)
    async with await old.create(b"new", netascii=False, tsize=None) as sink:
        sink.store(b"\0\3\0\1x", 5, 1)
        limits = Limits(uploads_max=1, quota=1_000_000)
        store = Store(root, rules=NameRules(), policy=UPLOADS, allowance=Allowance(limits))
        store.succeed(old)
        old.close()
        assert allowance.limits is limits
        elsewhere = Store(root / "dir", rules=NameRules(), policy=UPLOADS)
        elsewhere.succeed(old)
        assert elsewhere.allowance.uploads == 0
        elsewhere.close()
        with pytest.raises(ContentError) as caught:
            await store.create(b"other", netascii=False, tsize=None)
        assert caught.value.limit == "uploads_max"
    async with await store.create(b"other", netascii=False, tsize=None):
        assert allowance.uploads == 1
    store.close()
