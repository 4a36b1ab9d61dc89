from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snowowl.content import files
from snowowl.content.errors import ContentError
from snowowl.content.files import (
    SMALL_MAX,
    SmallFile,
    identity,
    read_at,
    read_small,
    read_small_now,
)
from snowowl.wire.constants import ErrorCode

linux = pytest.mark.skipif(sys.platform != "linux", reason="RWF_NOWAIT is of Linux")


def small(fd: int, key: files.Identity) -> SmallFile | None:
    return read_small(fd, key)


# What a file is


def test_only_regular_files_have_an_identity(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/null")):
        with pytest.raises(ContentError) as caught:
            identity(path.stat())
        assert caught.value.code is ErrorCode.ACCESS_VIOLATION
        assert caught.value.message == "not a regular file"


def test_a_file_that_gets_its_old_mtime_back_is_another_version(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    before = path.stat()
    time.sleep(0.02)  # a tick of the clock that files are stamped by
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert identity(path.stat()) != identity(before)


# Reading


@pytest.mark.parametrize("has_pread", [False, True])
def test_reading_goes_on_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_pread: bool
) -> None:
    if not has_pread:  # as on Windows
        monkeypatch.delattr("os.pread")
    (tmp_path / "file").write_bytes(b"0123456789")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    assert read_at(fd, 4, 3) == b"3456"
    assert read_at(fd, 100, 8) == b"89"
    assert read_at(fd, 100, 10) == b""
    os.close(fd)


# Small files


@pytest.mark.parametrize("read", [small, pytest.param(read_small_now, marks=linux)])
@pytest.mark.parametrize("size", [0, 1, 4096, SMALL_MAX])
def test_a_small_file_is_read_whole(
    tmp_path: Path, size: int, read: Callable[[int, files.Identity], SmallFile | None]
) -> None:
    octets = os.urandom(size)
    (tmp_path / "file").write_bytes(octets)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    file = read(fd, identity(os.fstat(fd)))
    os.close(fd)
    if file is None:
        pytest.skip("a file system without RWF_NOWAIT")
    assert file.octets == octets


def test_a_small_file_is_encoded_when_somebody_wants_that(tmp_path: Path) -> None:
    file = SmallFile((1, 2, 3, 4, 2), b"a\n")
    assert file.encoded == b"a\r\n"
    assert file.encoded is file.encoded


def test_a_version_that_is_fresh_may_not_be_found_by_its_stamps() -> None:
    now = time.time_ns()
    old = now - 3_600_000_000_000
    fresh = now | 1  # never a whole second
    whole = now // 1_000_000_000 * 1_000_000_000
    assert SmallFile((1, 1, old | 1, old | 1, 0), b"").settled
    assert not SmallFile((1, 1, fresh, fresh, 0), b"").settled
    assert not SmallFile((1, 1, old | 1, fresh, 0), b"").settled
    assert not SmallFile((1, 1, whole, whole, 0), b"").settled
    assert SmallFile((1, 1, now - 1_000_000_000 | 1, 0, 0), b"").settled
    assert not SmallFile((1, 1, whole - 1_000_000_000, 0, 0), b"").settled  # stamps of 2 seconds


def test_a_small_file_that_is_written_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    fd = os.open(path, os.O_RDONLY)
    key = identity(os.fstat(fd))
    path.write_bytes(b"newer")
    assert read_small(fd, key).octets == b"newer"
    assert read_small_now(fd, key) is None

    growth = b""

    def grow(fd: int, length: int, offset: int) -> bytes:
        octets = read_at(fd, length, offset)
        path.write_bytes(path.read_bytes() + growth)
        return octets

    monkeypatch.setattr(files, "read_at", grow)
    for size in (1, SMALL_MAX):
        growth = bytes(size)
        with pytest.raises(ContentError) as caught:
            read_small(fd, identity(os.fstat(fd)))
        assert caught.value.message == "file changed while it was sent"
    os.close(fd)


def test_a_small_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"octets")
    fd = os.open(path, os.O_WRONLY)
    with pytest.raises(ContentError):
        read_small(fd, identity(os.fstat(fd)))
    os.close(fd)


@linux
def test_a_small_file_that_is_not_cached_waits_for_a_thread(tmp_path: Path, cold: None) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"octets")
    fd = os.open(path, os.O_RDONLY)
    assert read_small_now(fd, identity(os.fstat(fd))) is None
    os.close(fd)


@linux
def test_a_small_file_that_is_half_cached_waits_for_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8192))
    fd = os.open(path, os.O_RDONLY)
    monkeypatch.setattr("os.preadv", lambda *arguments: 4096)
    assert read_small_now(fd, identity(os.fstat(fd))) is None
    os.close(fd)


def test_without_rwf_nowait_every_small_file_waits_for_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "other")
    assert read_small_now(-1, (0, 0, 0, 0, 0)) is None
