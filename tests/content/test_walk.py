"""The walk's own corners; what it opens and refuses is in test_beneath.py."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.content.walk import open_beneath

pytestmark = pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="needs dir_fd")


@pytest.fixture
def root_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def small_tree(tmp_path: Path) -> None:
    (tmp_path / "dir/deep").mkdir(parents=True)
    (tmp_path / "dir/file").write_bytes(b"file")
    links = {
        "link": "dir/deep/.././file",
        "slash": "dir/file/",
        "up": "dir/..",
        "out": "dir/../../x",
        "absolute": "/etc",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)


def test_links_that_stay_inside_are_walked(root_fd: int, small_tree: None) -> None:
    fd = open_beneath(root_fd, [b"link"], os.O_RDONLY)
    assert os.read(fd, 10) == b"file"
    os.close(fd)
    for path in ([b"up"], [b"."], [b"dir", b""]):
        os.close(open_beneath(root_fd, path, os.O_RDONLY | os.O_DIRECTORY))


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ([b"nothing"], errno.ENOENT),
        ([], errno.ENOENT),
        ([b"dir", b"file", b"x"], errno.ENOTDIR),
        ([b"slash"], errno.ENOTDIR),
        ([b".."], errno.EXDEV),
        ([b"out"], errno.EXDEV),
        ([b"absolute", b"passwd"], errno.EXDEV),
    ],
)
def test_what_leads_out_or_nowhere_is_refused(
    root_fd: int, small_tree: None, path: list[bytes], number: int
) -> None:
    with pytest.raises(OSError, match=os.strerror(number)):
        open_beneath(root_fd, path, os.O_RDONLY)


def test_a_link_that_becomes_a_file_while_it_is_read_is_opened(
    tmp_path: Path, root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "name").symlink_to("elsewhere")
    real_readlink = os.readlink

    def replace_then_read(path: bytes, *, dir_fd: int) -> bytes:
        (tmp_path / "name").unlink()
        (tmp_path / "name").write_bytes(b"file")
        return real_readlink(path, dir_fd=dir_fd)

    monkeypatch.setattr("os.readlink", replace_then_read)
    fd = open_beneath(root_fd, [b"name"], os.O_RDONLY)
    assert os.read(fd, 10) == b"file"
    os.close(fd)


def test_looking_again_ends(root_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def always_a_link(*arguments: object, **keywords: object) -> int:
        nonlocal looks
        looks += 1
        raise OSError(errno.ELOOP, "a link, as O_NOFOLLOW says")

    def never_a_link(*arguments: object, **keywords: object) -> bytes:
        raise OSError(errno.EINVAL, "not a link, as readlink says")

    monkeypatch.setattr("os.open", always_a_link)
    monkeypatch.setattr("os.readlink", never_a_link)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        open_beneath(root_fd, [b"name"], os.O_RDONLY)
    assert looks == 41


def test_a_directory_moved_out_while_it_is_walked_is_left_the_way_it_was_entered(
    tmp_path: Path, root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `..` of a moved directory leads out of the root; the walk goes back by what it holds."""
    (tmp_path / "secret").write_bytes(b"foreign")
    (tmp_path / "root/dir").mkdir(parents=True)
    (tmp_path / "root/secret").write_bytes(b"inside")
    (tmp_path / "root/link").symlink_to("dir/../secret")
    real_open = os.open

    def move_then_open(path: bytes, flags: int, mode: int = 0, *, dir_fd: int) -> int:
        if path == b"secret":
            (tmp_path / "root/dir").rename(tmp_path / "dir")
        return real_open(path, flags, mode, dir_fd=dir_fd)

    top = os.open(tmp_path / "root", os.O_RDONLY)
    monkeypatch.setattr("os.open", move_then_open)
    fd = open_beneath(top, [b"link"], os.O_RDONLY)
    assert os.read(fd, 10) == b"inside"
    os.close(fd)
    os.close(top)
