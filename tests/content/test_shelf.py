from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from snowowl.content import shelf as shelf_module
from snowowl.content.files import SmallFile, identity
from snowowl.content.mapped import MappedFile
from snowowl.content.shelf import UNUSED_SECONDS, Shelf

OLD = 1_000_000_000_000_000_001  # nanoseconds: a version of long ago

Opener = Callable[[int], MappedFile]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Open the n-th of some files, another time for each call."""

    def open_file(number: int) -> MappedFile:
        path = tmp_path / str(number)
        if not path.exists():
            path.write_bytes(b"x" * (1000 + number))
        fd = os.open(path, os.O_RDONLY)
        return MappedFile(fd, identity(os.fstat(fd)))

    return open_file


def small(number: int) -> SmallFile:
    return SmallFile((1, number, OLD, OLD, 1), b"x")


async def test_one_open_file_for_each_version(opened: Opener) -> None:
    shelf = Shelf()
    first = shelf.share(opened(1))
    again = opened(1)
    assert shelf.share(again) is first
    assert again._fd < 0  # closed
    assert shelf.mapped(first.key) is first
    assert shelf.share(opened(2)) is not first
    assert len(shelf) == 2
    shelf.close()


async def test_a_file_in_use_is_kept_and_an_unused_one_for_a_while(
    opened: Opener, autojump_clock: object
) -> None:
    shelf = Shelf()
    shelf.sweep()
    file = shelf.share(opened(1))
    sources = [shelf.use(file), shelf.use(file)]
    sources[0].close()
    await trio.sleep(UNUSED_SECONDS * 2)
    shelf.sweep()
    assert len(shelf) == 1
    sources[1].close()
    shelf.sweep()
    assert len(shelf) == 1
    await trio.sleep(UNUSED_SECONDS * 2)
    assert len(shelf) == 1  # no timer
    shelf.sweep()
    assert len(shelf) == 0


async def test_one_open_pays_for_one_file(opened: Opener, autojump_clock: object) -> None:
    shelf = Shelf()
    for number in range(3):
        shelf.share(opened(number))
    await trio.sleep(UNUSED_SECONDS * 2)
    shelf.sweep()
    assert len(shelf) == 2
    shelf.close()


async def test_unused_files_are_kept_up_to_a_number(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf_module, "UNUSED_MAX", 3)
    shelf = Shelf()
    sources = [shelf.use(shelf.share(opened(number))) for number in range(6)]
    assert len(shelf) == 6
    for source in reversed(sources):
        source.close()
    kept = sorted(file.size for file in shelf._mapped.values())
    assert kept == [1000, 1001, 1002]  # those used last
    shelf.close()


async def test_text_holds_its_file_and_an_index_goes_with_it(opened: Opener) -> None:
    shelf = Shelf()
    file = shelf.share(opened(1))
    index = shelf.index(file)
    assert shelf.index(file) is index
    assert shelf.known_index(file) is None  # not complete
    index.count(100)
    assert shelf.known_index(file) is index
    source = shelf.use_text(file, index)
    shelf.close()
    assert len(shelf) == 1
    source.close()
    assert len(shelf) == 0
    assert not shelf._indexes


async def test_closing_leaves_files_to_their_users(opened: Opener) -> None:
    shelf = Shelf()
    source = shelf.use(shelf.share(opened(1)))
    shelf.share(opened(2))
    shelf.keep_small(small(3))
    shelf.close()
    shelf.close()
    assert len(shelf) == 1
    source.check()
    source.close()
    assert len(shelf) == 0
    assert shelf.small(small(3).key) is None
    shelf.keep_small(small(3))
    assert shelf.small(small(3).key) is None


def test_small_files_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "SMALL_KEPT_MAX", 2)
    shelf = Shelf()
    files = [small(number) for number in range(3)]
    for number in (0, 1, 0, 2):
        shelf.keep_small(files[number])
    assert shelf.small(files[0].key) is files[0]
    assert shelf.small(files[1].key) is None
    assert shelf.small(files[2].key) is files[2]


def test_a_small_file_that_might_be_taken_for_another_is_not_kept() -> None:
    shelf = Shelf()
    file = small(1)
    file.settled = False
    shelf.keep_small(file)
    assert shelf.small(file.key) is None
