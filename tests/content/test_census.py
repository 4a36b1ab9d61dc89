"""What counts for a quota: names that may be written, beneath the root, each once."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from snowowl.content.beneath import Root, Strategy
from snowowl.content.census import DEPTH_MAX, Counted, count
from snowowl.content.errors import ContentError
from snowowl.content.naming import Template


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(bytes(100_000))
    root = tmp_path / "root"
    for name in ("a.log", "a.cfg", "logs/b.log", "logs/deep/c.log", ".hidden.log", ".git/d.log"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    (root / ".snowowl-0123456789abcdef.part").write_bytes(bytes(1000))
    (root / "logs/up").symlink_to("..")
    (root / "logs/loop").symlink_to("loop")
    (root / "out").symlink_to("../outside")
    (root / "file.log").symlink_to("a.log")
    os.mkfifo(root / "fifo.log")
    return root


@pytest.fixture
def root(top: Path, strategy: Strategy) -> Iterator[Root]:
    with Root(top, strategy) as root:
        yield root


def nothing() -> None:
    """Go on."""


@pytest.mark.parametrize(
    ("counted", "octets"),
    [
        (Counted(("*",)), 40),
        (Counted(("*",), hidden=True), 60),
        (Counted(("*.log",)), 30),
        (Counted(("logs/*",)), 20),
        (Counted(("*.cfg", "logs/deep/*")), 20),
        (Counted(()), 0),
    ],
)
def test_what_may_be_written_counts(root: Root, counted: Counted, octets: int) -> None:
    assert count(root, counted, nothing) == octets


def test_names_that_uploads_make_count_too(root: Root, top: Path) -> None:
    (top / "logs/b.log.1").write_bytes(bytes(7))
    (top / "a.cfg.1").write_bytes(bytes(500))
    counted = Counted(("*.log",), made=Template("{name}.{number}").pattern())
    assert count(root, counted, nothing) == 37
    (top / "192.0.2.9-1").write_bytes(bytes(3))
    counted = Counted(("*.log",), made=Template("{client}-{number}").pattern())
    assert count(root, counted, nothing) == 33


def test_what_goes_away_or_may_not_be_looked_at_is_passed_over(
    root: Root, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: bytes, *others: int, dir_fd: int | None = None) -> int:
        if path == b"logs":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *others, dir_fd=dir_fd)

    real_open = os.open
    monkeypatch.setattr("os.open", refuse)
    assert count(root, Counted(("*.log",)), nothing) == 10


def test_a_folder_that_becomes_a_link_is_not_followed(
    root: Root, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(path: bytes, *others: int, dir_fd: int | None = None) -> int:
        if path == b"logs":
            (top / "logs").rename(top / ".kept")
            (top / "logs").symlink_to("../outside")
        return real_open(path, *others, dir_fd=dir_fd)

    real_open = os.open
    monkeypatch.setattr("os.open", swap)
    assert count(root, Counted(("*",)), nothing) == 20


def test_a_tree_without_end_takes_few_descriptors(
    root: Root, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = top / "deep"
    for _ in range(DEPTH_MAX + 5):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "beyond").write_bytes(bytes(10))
    opened: list[int] = []
    real_open = os.open

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def note(path: bytes, *others: int, dir_fd: int | None = None) -> int:
        opened.append(descriptors())
        return real_open(path, *others, dir_fd=dir_fd)

    before = descriptors()
    monkeypatch.setattr("os.open", note)
    assert count(root, Counted(("*",)), nothing) == 40
    assert max(opened) <= before + 2 * DEPTH_MAX + 4


def test_without_descriptors_it_is_an_error_to_answer_with(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it names itself, too

    def full(_: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "scandir", full)
    monkeypatch.setattr(os, "supports_fd", {full})
    with pytest.raises(ContentError, match="Too many open files"):
        count(root, Counted(("*",)), nothing)
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def test_who_does_not_want_it_any_more_ends_it(root: Root, top: Path) -> None:
    (top / "many").mkdir()
    for number in range(1200):
        (top / f"many/{number}").touch()

    def stop() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        count(root, Counted(("*",)), stop)


async def test_counting_a_large_tree_lets_the_event_loop_go_on(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / str(folder)).mkdir()
        for number in range(500):
            (tmp_path / f"{folder}/{number}.log").touch()
    pauses: list[float] = []
    done = threading.Event()

    async def beat() -> None:
        while not done.is_set():
            since = time.perf_counter()
            await trio.sleep(0.001)
            pauses.append(time.perf_counter() - since)

    with Root(tmp_path) as root:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            await trio.to_thread.run_sync(count, root, Counted(("*.log",)), nothing)
            done.set()
    assert len(pauses) > 3
    assert sorted(pauses)[len(pauses) // 2] < 0.05
