"""`Store.open_now`: what needs no thread, and what it leaves to one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from snowowl.content import store as store_module
from snowowl.content.errors import ContentError
from snowowl.content.mapped import FileSource
from snowowl.content.names import NameRules
from snowowl.content.source import BytesSource, Source
from snowowl.content.store import Store, WritePolicy
from snowowl.content.text import NetasciiSource
from snowowl.wire.constants import ErrorCode


def at_once(store: Store, name: bytes, *, text: bool = False) -> Source:
    """Open by open_now.  Any rename on the machine may make the kernel say: not now."""
    for _ in range(1000):
        source = store.open_now(name, netascii=text)
        if source is not None:
            return source
        time.sleep(0.001)
    pytest.fail("never opened at once")


async def test_what_is_cached_is_opened_at_once(cached: Store) -> None:
    for name, kind in ((b"small", BytesSource), (b"large", FileSource)):
        source = at_once(cached, name)
        assert isinstance(source, kind)
        source.close()


async def test_text_is_opened_at_once_when_it_was_counted(cached: Store) -> None:
    assert cached.open_now(b"large", netascii=True) is None
    first = await cached.open(b"large", netascii=True)
    again = at_once(cached, b"large", text=True)
    assert isinstance(again, NetasciiSource)
    assert again.size == first.size
    first.close()
    again.close()
    small = at_once(cached, b"small", text=True)
    assert bytes(small.view(0, 99)) == b"small\r\n"


@pytest.mark.rule("R12")
async def test_a_name_known_to_be_missing_is_refused_at_once(cached: Store) -> None:
    # GRUB and PXELINUX ask for about nine missing files in a row.
    with pytest.raises(ContentError):
        await cached.open(b"missing", netascii=False)
    with pytest.raises(ContentError) as caught:
        at_once(cached, b"missing")
    assert caught.value.code is ErrorCode.FILE_NOT_FOUND


async def test_what_waits_for_a_disk_is_left_to_a_thread(
    cached: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "read_small_now", lambda fd, key: None)
    assert cached.open_now(b"small", netascii=False) is None
    assert (await cached.open(b"small", netascii=False)).size == 6


async def test_without_openat2_nothing_is_opened_at_once(root: Path) -> None:
    store = Store(root, rules=NameRules(), policy=WritePolicy(), strategy="walk")
    assert store.open_now(b"small", netascii=False) is None
    store.close()
