from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from snowowl.content.beneath import Directory
from snowowl.content.temporary import HELD_SIZE, Kind, Temporary, _sync_file_range

KINDS: list[Kind] = ["anonymous", "named"]

Maker = Callable[[bytes], Temporary]


@pytest.fixture(params=[("anonymous", "fd"), ("named", "fd"), ("named", "prefix")], ids="-".join)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    kind, way = request.param
    made: list[Temporary] = []

    def make_one(name: bytes) -> Temporary:
        directory = (
            Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
            if way == "fd"
            else Directory(None, os.fsencode(tmp_path) + b"/")
        )
        try:
            temporary = Temporary(directory, name, kind)
        except OSError:
            directory.close()
            pytest.skip(f"no {kind} files here")
        made.append(temporary)
        return temporary

    yield make_one
    for temporary in made:
        temporary.close()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    temporary.write([b"first "])
    assert not (tmp_path / "target").exists()
    temporary.write([b"second"])
    assert not (tmp_path / "target").exists()
    temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == b"first second"


def test_others_may_not_read_what_was_uploaded(tmp_path: Path, make: Maker) -> None:
    before = os.umask(0o022)
    try:
        temporary = make(b"target")
    finally:
        os.umask(before)
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").stat().st_mode & 0o7777 == 0o640


def test_an_anonymous_file_is_never_seen(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    temporary.write([b"octets"])
    if temporary.kind == "anonymous":
        assert names(tmp_path) == []
    else:
        (name,) = names(tmp_path)
        assert name.startswith(".snowowl-")
        assert name.endswith(".part")


def test_what_exists_is_not_overwritten_by_accident(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    temporary.write([b"new"])
    (tmp_path / "target").write_bytes(b"old")  # since the policy looked
    with pytest.raises(FileExistsError):
        temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == b"old"


def test_what_exists_is_replaced_on_purpose(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "target").write_bytes(b"old")
    temporary = make(b"target")
    temporary.write([b"new"])
    with (tmp_path / "target").open("rb") as reader:
        temporary.publish(overwrite=True)
        temporary.close()
        assert reader.read() == b"old"  # whoever reads it goes on with it
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "elsewhere").write_bytes(b"old")
    (tmp_path / "target").symlink_to("elsewhere")
    temporary = make(b"target")
    temporary.write([b"new"])
    temporary.publish(overwrite=True)
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    assert (tmp_path / "elsewhere").read_bytes() == b"old"


def test_a_directory_is_not_replaced(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match=os.strerror(errno.EISDIR)):
        temporary.publish(overwrite=True)
    temporary.close()
    assert names(tmp_path) == ["target"]


def test_what_is_not_published_leaves_nothing(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    temporary.write([b"octets"])
    temporary.close()
    temporary.close()
    assert names(tmp_path) == []


def test_a_temporary_name_that_somebody_removed_is_no_matter(tmp_path: Path, make: Maker) -> None:
    temporary = make(b"target")
    for path in tmp_path.iterdir():
        path.unlink()
    temporary.close()


def test_short_writes_are_gone_on_with(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, real_writev = os.write, os.writev
    monkeypatch.setattr("os.write", lambda fd, octets: real_write(fd, octets[:3]))
    monkeypatch.setattr("os.writev", lambda fd, pieces: real_writev(fd, [*pieces[:1], b"2"]))
    temporary = make(b"target")
    temporary.write([b"01", b"234", b"5678", b"9"])
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").read_bytes() == b"0123456789"


def test_pieces_are_written_in_order_however_many_they_are(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [b"%d " % number for number in range(5000)]  # more than one writev takes
    temporary = make(b"target")
    temporary.write(pieces)
    with monkeypatch.context() as patched:
        patched.delattr("os.writev")  # as on Windows
        temporary.write([])
        temporary.write(pieces)
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").read_bytes() == 2 * b"".join(pieces)


class Writeback:
    """In the place of sync_file_range: notes what is asked, and answers with an errno."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[tuple[int, int]] = []
        self.awaited: list[tuple[int, int]] = []
        self.start_answer = self.wait_answer = 0
        self._number = 0
        monkeypatch.setattr("snowowl.content.temporary.WRITEBACK_SIZE", 100)
        monkeypatch.setattr("snowowl.content.temporary.UNSYNCED_MAX", 250)
        monkeypatch.setattr("snowowl.content.temporary._sync_file_range", self)
        monkeypatch.setattr("ctypes.get_errno", lambda: self._number)

    def __call__(self, fd: int, offset: int, size: int, flags: int) -> int:
        calls, self._number = {
            2: (self.started, self.start_answer),  # SYNC_FILE_RANGE_WRITE
            1: (self.awaited, self.wait_answer),  # SYNC_FILE_RANGE_WAIT_BEFORE
        }[flags]
        assert os.fstat(fd).st_size >= offset + size
        calls.append((offset, size))
        return -1 if self._number else 0


def test_writeback_begins_as_the_file_grows_and_falls_behind_by_so_much_only(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    writeback = Writeback(monkeypatch)
    temporary = make(b"target")
    temporary.write([bytes(99)])
    assert writeback.started == []
    temporary.write([bytes(121)])
    assert writeback.started == [(0, 100), (100, 100)]
    assert writeback.awaited == []
    temporary.write([bytes(80)])
    assert writeback.started == [(0, 100), (100, 100), (200, 100)]
    assert writeback.awaited == [(50, 100)]
    temporary.write([bytes(200)])
    assert writeback.awaited == [(50, 100), (150, 100), (250, 100)]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ESPIPE])
def test_where_writeback_cannot_be_started_it_is_left_to_the_kernel(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writeback = Writeback(monkeypatch)
    writeback.start_answer = number
    temporary = make(b"target")
    for _ in range(5):
        temporary.write([bytes(100)])
    assert writeback.started == [(0, 100)]  # once is enough
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").read_bytes() == bytes(500)


def test_where_writeback_cannot_be_awaited_it_is_left_to_the_kernel(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    writeback = Writeback(monkeypatch)
    writeback.wait_answer = errno.ENOSYS
    temporary = make(b"target")
    temporary.write([bytes(500)])
    assert len(writeback.awaited) == 1
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").read_bytes() == bytes(500)


@pytest.mark.parametrize(
    ("start_answer", "wait_answer"), [(errno.ENOSPC, 0), (0, errno.EIO), (0, errno.EPERM)]
)
def test_what_writeback_tells_of_lost_octets_is_not_swallowed(
    tmp_path: Path,
    make: Maker,
    monkeypatch: pytest.MonkeyPatch,
    start_answer: int,
    wait_answer: int,
) -> None:
    writeback = Writeback(monkeypatch)
    writeback.start_answer, writeback.wait_answer = start_answer, wait_answer
    temporary = make(b"target")
    with pytest.raises(OSError, match=os.strerror(start_answer or wait_answer)):
        temporary.write([bytes(500)])
    temporary.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("found", [True, False])
def test_the_kernel_understands_what_it_is_asked(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch, found: bool
) -> None:
    answers: list[int] = []

    def ask(fd: int, offset: int, size: int, flags: int) -> int:
        assert _sync_file_range is not None
        answers.append(_sync_file_range(fd, offset, size, flags))
        return answers[-1]

    monkeypatch.setattr("snowowl.content.temporary._sync_file_range", ask if found else None)
    monkeypatch.setattr("snowowl.content.temporary.WRITEBACK_SIZE", 4096)
    monkeypatch.setattr("snowowl.content.temporary.UNSYNCED_MAX", 8192)
    octets = os.urandom(100_000)
    temporary = make(b"target")
    temporary.write([octets])
    temporary.publish(overwrite=False)
    assert (tmp_path / "target").read_bytes() == octets
    if found:
        assert answers == [0] * 47  # 24 that start it, and 23 that wait


def held_open(path: Path) -> list[str]:
    """Return the descriptors of this process for a file that has lost this name."""
    gone = f"{path} (deleted)"
    fds = Path("/proc/self/fd")
    return [fd.name for fd in fds.iterdir() if fd.is_symlink() and str(fd.readlink()) == gone]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("large", [True, False])
def test_a_large_file_that_was_replaced_is_freed_at_the_end(
    tmp_path: Path, kind: Kind, large: bool
) -> None:
    target = tmp_path / "target"
    target.touch()
    os.truncate(target, HELD_SIZE - (not large))
    temporary = Temporary(Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)), b"target", kind)
    temporary.write([b"new"])
    temporary.publish(overwrite=True)
    assert target.read_bytes() == b"new"
    assert temporary.holds_replaced == bool(held_open(target)) == large
    temporary.close()
    assert not held_open(target)
    assert names(tmp_path) == ["target"]


def test_the_octets_are_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync = os.fsync

    def fsync(fd: int) -> None:
        kind = "directory" if Path(f"/proc/self/fd/{fd}").is_dir() else "file"
        order.append(f"{kind} {'named' if (tmp_path / 'target').exists() else 'unnamed'}")
        real_fsync(fd)

    monkeypatch.setattr("os.fsync", fsync)
    temporary = make(b"target")
    temporary.publish(overwrite=False)
    assert order == ["file unnamed", "directory named"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_sync_is_told(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    calls = 0

    def fsync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EIO, "Input/output error")

    temporary = make(b"target")
    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="Input/output error"):
        temporary.publish(overwrite=False)
    temporary.close()
    # Only the directory may fail after the naming: the file is whole then.
    assert names(tmp_path) == (["target"] if failing == 2 else [])


def test_directories_that_cannot_be_synced_are_no_error(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")

    temporary = make(b"target")
    monkeypatch.setattr("os.fsync", fsync)
    temporary.publish(overwrite=False)
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_drop_box_takes_uploads(
    tmp_path: Path, kind: Kind, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    box = tmp_path / "box"
    box.mkdir()
    box.chmod(0o333)
    fd = os.open(box, os.O_PATH | os.O_DIRECTORY)
    with unprivileged():
        temporary = Temporary(Directory(fd), b"target", kind)
        temporary.write([b"octets"])
        temporary.publish(overwrite=False)
        temporary.close()
    box.chmod(0o755)
    assert (box / "target").read_bytes() == b"octets"


@pytest.mark.parametrize("exists", [False, True])
def test_file_systems_without_hard_links_do_not_overwrite_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    def no_links(*arguments: object, **keywords: object) -> None:
        raise PermissionError(errno.EPERM, "as vfat answers")

    monkeypatch.setattr("os.link", no_links)
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    temporary = Temporary(directory, b"target", "named")
    temporary.write([b"new"])
    if exists:
        (tmp_path / "target").write_bytes(b"old")
        with pytest.raises(FileExistsError):
            temporary.publish(overwrite=False)
    else:
        temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == (b"old" if exists else b"new")


def test_without_links_and_renameat2_nothing_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*arguments: object, **keywords: object) -> None:
        raise PermissionError(errno.EPERM, "as vfat answers")

    monkeypatch.setattr("os.link", no_links)
    monkeypatch.setattr("ctypes.CDLL", lambda *arguments, **keywords: object())
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    temporary = Temporary(directory, b"target", "named")
    with pytest.raises(OSError, match=os.strerror(errno.EOPNOTSUPP)):
        temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == []


def test_a_link_that_fails_otherwise_is_told(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.link", full)
    temporary = make(b"target")
    with pytest.raises(OSError, match="No space left"):
        temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
def test_auto_takes_a_name_where_there_are_no_anonymous_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real_open = os.open

    def refuse(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(number, "no O_TMPFILE")
        return real_open(path, flags, mode, dir_fd=dir_fd)

    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(OSError, match="no O_TMPFILE"):
        Temporary(directory, b"target", "anonymous")
    temporary = Temporary(directory, b"target", "auto")
    assert temporary.kind == "named"
    temporary.close()


def test_without_directory_descriptors_nothing_is_anonymous(tmp_path: Path) -> None:
    temporary = Temporary(Directory(None, os.fsencode(tmp_path) + b"/"), b"target", "auto")
    assert temporary.kind == "named"
    temporary.close()


def test_without_proc_nothing_is_anonymous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: False)
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    temporary = Temporary(directory, b"target", "auto")
    assert temporary.kind == "named"
    temporary.close()


def test_a_directory_that_may_not_be_written_is_not_tried_twice(
    tmp_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    tmp_path.chmod(0o555)
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    with unprivileged(), pytest.raises(PermissionError):
        Temporary(directory, b"target", "auto")
    directory.close()


# Permissions and names of their own


def test_a_new_file_has_the_mode_less_the_umask(tmp_path: Path) -> None:
    for kind in KINDS:
        for mode, umask, expected in ((0o640, 0o077, 0o600), (0o666, 0o002, 0o664)):
            before = os.umask(umask)
            try:
                directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
                temporary = Temporary(directory, b"new", kind, mode=mode)
            finally:
                os.umask(before)
            temporary.publish(overwrite=False)
            temporary.close()
            assert (tmp_path / "new").stat().st_mode & 0o7777 == expected
            (tmp_path / "new").unlink()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o755, 0o4711])
def test_what_is_replaced_leaves_its_permissions(tmp_path: Path, make: Maker, mode: int) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    if os.geteuid() == 0:
        os.chown(target, 12, 34)
    target.chmod(mode)
    temporary = make(b"target")
    temporary.write([b"new"])
    temporary.publish(overwrite=True)
    status = target.stat()
    assert target.read_bytes() == b"new"
    # A write takes the permission to become its owner from a file, too.
    assert status.st_mode & 0o7777 == mode & 0o777
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (12, 34)


def test_who_may_not_keep_the_group_gives_no_group_more_than_everybody(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, uid: int, gid: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.fchown", refuse)
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "target").chmod(0o664)
    make(b"target").publish(overwrite=True)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o644


def test_a_link_that_is_replaced_has_no_permissions_to_leave(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "elsewhere").write_bytes(b"old")
    (tmp_path / "elsewhere").chmod(0o666)
    (tmp_path / "target").symlink_to("elsewhere")
    before = os.umask(0o022)
    try:
        temporary = make(b"target")
    finally:
        os.umask(before)
    temporary.publish(overwrite=True)
    assert (tmp_path / "target").lstat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_name_that_is_free_is_taken(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "a.1").mkdir()
    (tmp_path / "a.2").symlink_to("nowhere")
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    tried = [b"a", b"a.1", b"a.2", b"a.3", b"a.4"]
    temporary = Temporary(directory, b"a", kind, names=iter(tried))
    temporary.write([b"new"])
    temporary.publish(overwrite=False)
    temporary.close()
    assert temporary.name == b"a.3"
    assert names(tmp_path) == ["a", "a.1", "a.2", "a.3"]
    assert (tmp_path / "a.3").read_bytes() == b"new"


@pytest.mark.parametrize("kind", KINDS)
def test_when_all_names_are_taken_nothing_is_left(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "a").touch()
    directory = Directory(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    temporary = Temporary(directory, b"a", kind, names=[b"a"] * 5)
    with pytest.raises(FileExistsError):
        temporary.publish(overwrite=False)
    temporary.close()
    assert names(tmp_path) == ["a"]
