from __future__ import annotations

import errno
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from snowowl.content import mapped
from snowowl.content.errors import ContentError
from snowowl.content.files import identity
from snowowl.content.mapped import EXTENT, FileHints, FileSource, MappedFile
from snowowl.wire.constants import ErrorCode

linux = pytest.mark.skipif(sys.platform != "linux", reason="RWF_NOWAIT is of Linux")

Opener = Callable[[Path], MappedFile]
SIZE = 2 * EXTENT + 100_000


@pytest.fixture
def opened() -> Iterator[Opener]:
    held: list[MappedFile] = []

    def open_mapped(path: Path) -> MappedFile:
        fd = os.open(path, os.O_RDONLY)
        try:
            held.append(MappedFile(fd, identity(os.fstat(fd))))
        except ContentError:
            os.close(fd)
            raise
        return held[-1]

    yield open_mapped
    for file in held:
        file.close()


@contextmanager
def hinted(path: Path, hints: FileHints) -> Iterator[MappedFile]:
    """Open a file with hints, and close it."""
    fd = os.open(path, os.O_RDONLY)
    file = MappedFile(fd, identity(os.fstat(fd)), hints)
    try:
        yield file
    finally:
        file.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "large"
    path.write_bytes(bytes(range(256)) * (SIZE // 256) + b"end"[: SIZE % 256])
    return path


def send(view: memoryview) -> bytes:
    """Return what the kernel makes of a view: Python may not look into a mapping."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        left.sendmsg([view])
        return right.recv(len(view) + 1)


def test_a_view_is_what_the_file_holds(large: Path, opened: Opener) -> None:
    file = opened(large)
    octets = large.read_bytes()
    assert file.size == len(octets)
    for offset, length in ((0, 1428), (EXTENT - 700, 1428), (file.size - 5, 1428), (file.size, 10)):
        assert send(file.view(offset, length)) == octets[offset : offset + length]
        assert (
            file.read(offset, max(0, min(length, file.size - offset)))
            == octets[offset : offset + length]
        )


def test_loading_makes_ready(large: Path, opened: Opener, cold: None) -> None:
    file = opened(large)
    assert not file.ready(EXTENT, 1)
    file.load(EXTENT - 10, 20)
    assert file.ready(0, 2 * EXTENT)
    assert not file.ready(2 * EXTENT - 1, 2)
    file.load(EXTENT - 10, file.size)
    assert file.ready(0, file.size)
    assert file.ready(0, file.size + 1428)
    assert file.ready(file.size, 1428)
    assert file.ready(0, 0)


@linux
def test_what_is_cached_needs_no_loading(large: Path, opened: Opener) -> None:
    large.read_bytes()
    file = opened(large)
    if not file.ready(0, file.size):
        pytest.skip("a file system without RWF_NOWAIT")


@linux
def test_an_extent_that_is_half_cached_is_not_ready(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(large)
    tail = file.size - 2 * EXTENT
    monkeypatch.setattr("os.preadv", lambda *arguments: tail)
    assert not file.ready(0, 1)
    assert file.ready(2 * EXTENT, 1)  # all that the last extent has
    assert not file.ready(0, file.size)


@linux
def test_a_file_system_without_rwf_nowait_is_asked_once(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def refuse(*arguments: object) -> int:
        nonlocal asked
        asked += 1
        raise OSError(errno.EOPNOTSUPP, "no RWF_NOWAIT")

    file = opened(large)
    with monkeypatch.context() as patched:
        patched.setattr("os.preadv", refuse)
        assert not file.ready(0, 1)
        assert not file.ready(0, 1)
    assert asked == 1
    file.load(0, 1)
    assert file.ready(0, 1)


def test_the_kernel_is_asked_to_read_on(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "os.posix_fadvise", lambda _fd, offset, length, _advice: advised.append((offset, length))
    )
    file = opened(large)
    file.load(0, 1)
    covered = {offset + step for offset, length in advised for step in range(0, length, 4096)}
    assert covered >= set(range(0, file.size, 4096))
    assert max(length for _, length in advised) <= 128 * 1024


@pytest.mark.parametrize("read_ahead", [0, 1, EXTENT // 2, EXTENT, 100 * EXTENT])
def test_how_far_the_kernel_is_asked_to_read_on(
    large: Path, monkeypatch: pytest.MonkeyPatch, read_ahead: int
) -> None:
    """What is needed anyway is asked for in any case, and nothing behind the file ever is."""
    advised: list[tuple[int, int]] = []
    with hinted(large, FileHints(read_ahead=read_ahead)) as file:
        monkeypatch.setattr(
            "os.posix_fadvise", lambda _fd, offset, length, _: advised.append((offset, length))
        )
        file.load(EXTENT, 1)
    step = 128 * 1024
    stop = min(2 * EXTENT + -(-read_ahead // step) * step, -(-SIZE // step) * step)
    assert advised == [(offset, step) for offset in range(EXTENT, stop, step)]


@pytest.mark.parametrize(
    ("access", "file_advice", "map_advice"),
    [
        ("normal", "POSIX_FADV_NORMAL", "MADV_NORMAL"),
        ("sequential", "POSIX_FADV_SEQUENTIAL", "MADV_SEQUENTIAL"),
        ("random", "POSIX_FADV_RANDOM", "MADV_RANDOM"),
    ],
)
def test_the_kernel_is_told_how_a_file_will_be_read(
    large: Path,
    monkeypatch: pytest.MonkeyPatch,
    access: Literal["normal", "sequential", "random"],
    file_advice: str,
    map_advice: str,
) -> None:
    """Both ways that it is read, the file and the mapping, and the whole of each."""
    told: list[tuple[int, ...]] = []

    class Noted(mmap.mmap):
        def madvise(self, *advice: int) -> None:
            told.append(advice)

    monkeypatch.setattr("mmap.mmap", Noted)
    monkeypatch.setattr("os.posix_fadvise", lambda _fd, *advice: told.append(advice))
    with hinted(large, FileHints(access=access)):
        assert told == [(getattr(mmap, map_advice),), (0, 0, getattr(os, file_advice))]


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_a_kernel_that_takes_no_hints_is_not_asked_for_more(
    large: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """A sandbox may forbid the calls; they are no more than a wish."""

    def refuse(*arguments: object) -> None:
        raise OSError(reason, "no hints")

    class Refusing(mmap.mmap):
        madvise = refuse

    monkeypatch.setattr("mmap.mmap", Refusing)
    monkeypatch.setattr("os.posix_fadvise", refuse)
    with hinted(large, FileHints()) as file:
        file.load(0, 1)
        assert file.ready(0, 1)


def test_systems_with_less_read_as_well(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = large.read_bytes()
    for name in ("posix_fadvise", "preadv", "pread"):
        monkeypatch.delattr(f"os.{name}", raising=False)
    monkeypatch.setattr("sys.platform", "other")
    file = opened(large)
    assert not file.ready(0, 1)
    file.load(0, file.size)
    assert file.ready(0, file.size)
    assert file.read(EXTENT, 100) == octets[EXTENT : EXTENT + 100]


@pytest.mark.parametrize("change", ["truncate", "grow", "rewrite"])
def test_a_changed_file_is_noticed(tmp_path: Path, opened: Opener, change: str, cold: None) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    file = opened(path)
    file.check()
    time.sleep(0.02)  # a tick of the clock that files are stamped by
    with path.open("r+b") as writer:
        if change == "truncate":
            writer.truncate(100)
        elif change == "grow":
            writer.seek(0, os.SEEK_END)
            writer.write(b"more")
        else:
            writer.write(b"other")
    for notice in (file.check, lambda: file.load(0, SIZE)):
        with pytest.raises(ContentError) as caught:
            notice()
        assert caught.value.code is ErrorCode.NOT_DEFINED
        assert caught.value.message == "file changed while it was sent"


def test_a_truncated_file_is_an_error_and_not_the_end_of_the_process(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    file = opened(path)
    os.truncate(path, 100)
    with pytest.raises(OSError, match=os.strerror(errno.EFAULT)):
        send(file.view(EXTENT, 1428))
    with pytest.raises(ContentError):
        file.read(EXTENT, 100)
    monkeypatch.setattr(file, "check", lambda: None)  # truncated just after it was looked at
    with pytest.raises(ContentError) as caught:
        file.load(EXTENT, 1)
    assert caught.value.message == "file changed while it was sent"


def test_a_replaced_file_stays_as_it_was_for_its_readers(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * SIZE)
    file = opened(path)
    (tmp_path / "new").write_bytes(b"b" * SIZE)
    (tmp_path / "new").rename(path)
    file.check()
    file.load(0, SIZE)
    assert send(file.view(SIZE - 4, 4)) == b"aaaa"


def test_what_the_disk_fails_to_read_is_an_error(large: Path, opened: Opener) -> None:
    file = opened(large)
    fd = os.open(large, os.O_WRONLY)
    file._fd, real = fd, file._fd
    for read in (lambda: file.load(0, 1), lambda: file.read(0, 1)):
        with pytest.raises(ContentError) as caught:
            read()
        assert caught.value.message == "input or output error"
    file._fd = real
    os.close(fd)


def test_a_closed_file_is_an_error_and_its_views_live_on(large: Path, opened: Opener) -> None:
    file = opened(large)
    view = file.view(0, 10)
    file.close()
    file.close()
    assert send(view) == bytes(range(10))
    with pytest.raises(ContentError):
        file.check()


def test_a_file_shorter_than_its_stamp_is_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(ContentError) as caught:
        MappedFile(fd, (0, 0, 0, 0, SIZE))
    assert caught.value.message == "file changed while it was sent"
    os.close(fd)


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**70])
def test_a_file_larger_than_the_address_space_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(4096))

    def refuse(*arguments: object, **keywords: object) -> None:
        if size == 2**62:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        raise OverflowError("mmap length is too large")

    monkeypatch.setattr("mmap.mmap", refuse)
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(ContentError) as caught:
        MappedFile(fd, (0, 0, 0, 0, size))
    assert caught.value.code is ErrorCode.NOT_DEFINED
    assert caught.value.message == "server is out of resources, try again"
    os.close(fd)


def test_a_file_system_with_private_mappings_only_is_served(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mapped._mmap
    tried: list[bool] = []

    def refuse_shared(fd: int, size: int, *, private: bool) -> object:
        tried.append(private)
        if not private:
            raise OSError(errno.ENODEV, "No such device")
        return real(fd, size, private=True)

    monkeypatch.setattr(mapped, "_mmap", refuse_shared)
    assert send(opened(large).view(256, 4)) == b"\0\1\2\3"
    assert tried == [False, True]


def test_a_file_system_without_mappings_is_an_error(
    large: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("mmap.mmap", refuse)
    with pytest.raises(ContentError) as caught:
        opened(large)
    assert caught.value.message == "input or output error"


def test_a_source_gives_its_file_back_once(large: Path, opened: Opener) -> None:
    file = opened(large)
    back: list[MappedFile] = []
    source = FileSource(file, back.append)
    assert source.size == file.size
    source.load(0, 100)
    assert source.ready(0, 100)
    source.check()
    assert send(source.view(0, 3)) == b"\0\1\2"
    source.close()
    source.close()
    assert back == [file]
