"""Somebody swaps a directory for a link to the outside, all the while: nothing outside is touched.

The whole way is run, by threads as a server does: resolve, open, read; begin, write, publish; count.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from snowowl.content.allowance import Allowance, Limits
from snowowl.content.beneath import Strategy
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules
from snowowl.content.store import Store, WritePolicy
from snowowl.content.temporary import Kind

SECONDS = 0.4
INSIDE, SECRET = b"inside", b"secret of another size"
_EXCHANGE = 2  # RENAME_EXCHANGE, include/uapi/linux/fs.h


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[Path]:
    """A root in which `dir` is a directory and a link to the outside by turns, atomically."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "dir/deep", outside / "deep"):
        folder.mkdir(parents=True)
    (root / "link").symlink_to("../outside")
    for name in ("file", "deep/file"):
        (root / "dir" / name).write_bytes(INSIDE)
        (outside / name).write_bytes(SECRET)
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        pytest.skip("no renameat2 here")
    over = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
        try:
            while not over.is_set():
                assert renameat2(fd, b"dir", fd, b"link", _EXCHANGE) == 0
                swaps += 1
        finally:
            os.close(fd)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)  # so that the threads interleave
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield root
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert swaps > 100


async def test_no_read_leads_out(swapped: Path, strategy: Strategy) -> None:
    store = Store(swapped, rules=NameRules(), policy=WritePolicy(), strategy=strategy)
    seen: Counter[object] = Counter()
    with trio.move_on_after(SECONDS):
        while True:
            for name in (b"dir/file", b"dir/deep/file", b"dir/./file"):
                try:
                    source = store.open_now(name, netascii=False)
                    source = source or await store.open(name, netascii=False)
                except ContentError as error:
                    seen[error.escape] += 1
                else:
                    seen[bytes(source.view(0, 100))] += 1
                    source.close()
            await trio.lowlevel.checkpoint()
    store.close()
    assert set(seen) <= {INSIDE, True, False}
    assert seen[INSIDE]
    assert seen[True]


@pytest.mark.parametrize("kind", ["anonymous", "named"])
async def test_no_write_leads_out(swapped: Path, strategy: Strategy, kind: Kind) -> None:
    outside = swapped.parent / "outside"
    before = {path: path.stat().st_mtime_ns for path in (outside, *outside.rglob("*"))}
    policy = WritePolicy(enabled=True, overwrite=True)
    store = Store(swapped, rules=NameRules(), policy=policy, strategy=strategy, temporary=kind)
    stored = refused = 0
    with trio.move_on_after(SECONDS):
        while True:
            for name in (b"dir/new", b"dir/file", b"dir/deep/new"):
                try:
                    sink = await store.create(name, netascii=False, tsize=None)
                except ContentError:
                    refused += 1
                    continue
                async with sink:
                    sink.store(b"\0\3\0\1new", 7, 1)
                    await sink.commit()
                    stored += 1
    store.close()
    assert stored
    assert refused
    after = {path: path.stat().st_mtime_ns for path in (outside, *outside.rglob("*"))}
    assert after == before
    assert not list(swapped.rglob(".snowowl-*"))


async def test_no_count_leads_out(swapped: Path, strategy: Strategy) -> None:
    allowance = Allowance(Limits(quota=1 << 30))
    policy = WritePolicy(enabled=True)
    store = Store(swapped, rules=NameRules(), policy=policy, strategy=strategy, allowance=allowance)
    seen: set[int] = set()
    with trio.move_on_after(SECONDS):
        while True:
            with contextlib.suppress(ContentError):
                await store.count()
                seen.add(allowance.used)
    store.close()
    # A directory that moves may be met twice, by either name, or not at all.
    assert seen <= {number * len(INSIDE) for number in range(5)}
