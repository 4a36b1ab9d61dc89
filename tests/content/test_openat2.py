from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.content.openat2 import Openat2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a system call of Linux")


@pytest.fixture
def root_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(b"inside")
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        Openat2(fd)
    except OSError:
        os.close(fd)
        pytest.skip("no openat2 here")
    yield fd
    os.close(fd)


class Answers:
    """Stands for the system call; answers with these error numbers, then with the last for ever."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = [*numbers]
        self.calls = 0

    def __call__(self, *arguments: object) -> int:
        self.calls += 1
        ctypes.set_errno(self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0])
        return -1


def at_once(resolver: Openat2, path: bytes) -> int:
    for _ in range(100):  # any rename on the machine may make the kernel say: not now
        fd = resolver.open_cached(path, os.O_RDONLY)
        if fd is not None:
            return fd
    pytest.skip("no RESOLVE_CACHED here")


def test_a_race_is_tried_again(root_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Openat2(root_fd)
    answers = Answers(errno.EAGAIN, errno.EINTR, errno.EAGAIN, errno.ENOENT)
    monkeypatch.setattr(resolver, "_waiting", answers)
    with pytest.raises(FileNotFoundError):
        resolver.open(b"file", os.O_RDONLY)
    assert answers.calls == 4


def test_a_race_that_does_not_end_is_left_by_walking(
    root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Openat2(root_fd)
    answers = Answers(errno.EAGAIN)
    monkeypatch.setattr(resolver, "_waiting", answers)
    fd = resolver.open(b"file", os.O_RDONLY)
    assert os.read(fd, 10) == b"inside"
    os.close(fd)
    assert answers.calls <= 1000


def test_what_is_cached_is_opened_at_once(root_fd: int, tmp_path: Path) -> None:
    resolver = Openat2(root_fd)
    (tmp_path / "file").stat()
    fd = at_once(resolver, b"file")
    assert os.read(fd, 10) == b"inside"
    os.close(fd)
    assert not (tmp_path / "missing").exists()  # so that the kernel knows that it is missing
    with pytest.raises(FileNotFoundError):
        at_once(resolver, b"missing")


def test_what_would_wait_is_none(root_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Openat2(root_fd)
    answers = Answers(errno.EAGAIN)
    monkeypatch.setattr(resolver, "_instant", answers)
    assert resolver.open_cached(b"file", os.O_RDONLY) is None
    assert resolver.open_cached(b"file", os.O_RDONLY) is None
    assert answers.calls == 2


def test_a_kernel_without_resolve_cached_is_asked_once(
    root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Openat2(root_fd)
    answers = Answers(errno.EINVAL)
    monkeypatch.setattr(resolver, "_instant", answers)
    assert resolver.open_cached(b"file", os.O_RDONLY) is None
    assert resolver.open_cached(b"file", os.O_RDONLY) is None
    assert answers.calls == 1


def test_such_a_kernel_is_found_out_at_once(root_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.content.openat2._RESOLVE_CACHED", 1 << 40)  # unknown to all
    resolver = Openat2(root_fd)
    assert resolver.open_cached(b"file", os.O_RDONLY) is None
    os.close(resolver.open(b"file", os.O_RDONLY))


def test_the_structures_are_made_once(root_fd: int) -> None:
    resolver = Openat2(root_fd)
    os.close(resolver.open(b"file", os.O_RDONLY))
    made = len(resolver._hows)
    os.close(resolver.open(b"file", os.O_RDONLY))
    assert len(resolver._hows) == made


def test_where_the_call_is_missing_construction_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.content.openat2._SYSCALL", 100_000)
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)):
        Openat2(fd)
    os.close(fd)
