from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from snowowl.content.allowance import Allowance
from snowowl.content.beneath import Root, Strategy
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules
from snowowl.content.store import Store
from snowowl.content.temporary import Temporary
from snowowl.content.uploads import Wish, WritePolicy, begin
from snowowl.wire.constants import ErrorCode

OPEN = WritePolicy(enabled=True, overwrite=True)


@pytest.fixture(params=["openat2", "walk", "portable"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "outside").mkdir()
    top = tmp_path / "root"
    (top / "dir").mkdir(parents=True)
    (top / "file").write_bytes(b"old")
    (top / "link").symlink_to("file")
    (top / "out").symlink_to("../outside/target")
    (top / "out_dir").symlink_to("../outside")
    os.mkfifo(top / "fifo")
    chosen: Strategy = request.param
    with Root(top, chosen) as root:
        yield root


def begun(root: Root, name: bytes, policy: WritePolicy, tsize: int | None) -> Temporary:
    wish = Wish(parts=name.split(b"/"), tsize=tsize)
    return begin(root, wish, policy, "auto", rules=NameRules(), claim=Allowance().claim(tsize))


def refused(
    root: Root, name: bytes, policy: WritePolicy, tsize: int | None = None
) -> tuple[ErrorCode, str]:
    with pytest.raises(ContentError) as caught:
        begun(root, name, policy, tsize)
    return caught.value.code, caught.value.message


def taken(root: Root, name: bytes, policy: WritePolicy, tsize: int | None = None) -> None:
    begun(root, name, policy, tsize).close()


def test_the_default_policy_takes_nothing() -> None:
    with pytest.raises(ContentError) as caught:
        WritePolicy().refuse_disabled()
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION
    assert caught.value.message == "uploads are not enabled"
    OPEN.refuse_disabled()


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        (("*",), b"any/thing", True),
        ((), b"any", False),
        (("logs/*",), b"logs/a", True),
        (("logs/*",), b"logs/a/b", True),
        (("logs/*",), b"other/a", False),
        (("logs/*",), b"Logs/a", False),
        (("*.cfg", "*.log"), b"a/b.log", True),
        (("*.cfg", "*.log"), b"a/b.bin", False),
        (("caf\udce9",), b"caf\xe9", True),
    ],
)
def test_patterns_are_matched_on_the_whole_name(
    patterns: tuple[str, ...], name: bytes, matches: bool
) -> None:
    policy = WritePolicy(enabled=True, patterns=patterns)
    if matches:
        policy.refuse_unmatched(name.split(b"/"))
    else:
        with pytest.raises(ContentError) as caught:
            policy.refuse_unmatched(name.split(b"/"))
        assert caught.value.code is ErrorCode.ACCESS_VIOLATION


@pytest.mark.rule("R12")
def test_the_target_and_the_policy_decide(root: Root) -> None:
    violation = (ErrorCode.ACCESS_VIOLATION, "not a regular file")
    exists = (ErrorCode.FILE_EXISTS, "file already exists")
    missing = (ErrorCode.FILE_NOT_FOUND, "file not found, and creating files is not enabled")
    only_new = WritePolicy(enabled=True)
    only_old = WritePolicy(enabled=True, overwrite=True, create=False)
    assert refused(root, b"nothing/new", OPEN)[0] is ErrorCode.FILE_NOT_FOUND
    assert refused(root, b"file/new", OPEN)[0] is ErrorCode.FILE_NOT_FOUND
    assert refused(root, b"out_dir/new", OPEN)[0] is ErrorCode.ACCESS_VIOLATION
    assert refused(root, b"dir", OPEN) == violation
    assert refused(root, b"fifo", only_new) == violation
    assert refused(root, b"file", only_new) == exists
    assert refused(root, b"link", only_new) == exists
    assert refused(root, b"out", only_new) == exists
    assert refused(root, b"new", only_old) == missing
    for name in (b"new", b"dir/new", b"file", b"link", b"out"):
        taken(root, name, OPEN)
    taken(root, b"new", only_new)
    taken(root, b"file", only_old)


def test_an_announced_size_must_fit(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = WritePolicy(enabled=True, size_max=1000)
    full = (ErrorCode.DISK_FULL, "disk full or allocation exceeded")
    taken(root, b"new", policy, 1000)
    assert refused(root, b"new", policy, 1001) == full
    free = 1 << 60  # more than any disk has
    assert refused(root, b"new", WritePolicy(enabled=True, size_max=2**63), free) == full
    # What exists is told before what would not fit.
    assert refused(root, b"file", policy, 1001)[0] is ErrorCode.FILE_EXISTS
    monkeypatch.delattr("os.statvfs")
    taken(root, b"new", WritePolicy(enabled=True, size_max=2**63), free)


def open_to_all(folder: Path, root: Root) -> None:
    """Let everybody reach a folder, where a root is a path: pytest's are its user's only."""
    if root.strategy == "portable":
        for path in (folder, *folder.parents):
            if path.stat().st_mode & 0o77 == 0:
                path.chmod(0o711)


def test_a_directory_that_may_not_be_written_is_an_access_violation(
    tmp_path: Path, root: Root, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    (tmp_path / "root/dir").chmod(0o555)
    open_to_all(tmp_path, root)
    tmp_path.chmod(0o755)
    with unprivileged():
        assert refused(root, b"dir/new", OPEN)[0] is ErrorCode.ACCESS_VIOLATION


def test_a_file_that_may_not_be_written_is_not_replaced(
    tmp_path: Path, root: Root, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    open_to_all(tmp_path, root)
    # Its folder would let the server's user rename another file over it.
    for path in (tmp_path / "root", tmp_path / "root/dir"):
        path.chmod(0o777)
    for name in ("file", "dir/kept"):
        file = tmp_path / "root" / name
        file.write_bytes(b"old")
        file.chmod(0o444)
        with unprivileged():
            assert refused(root, name.encode(), OPEN)[0] is ErrorCode.ACCESS_VIOLATION
        # What exists is told first: to a client it says more.
        without = WritePolicy(enabled=True)
        assert refused(root, name.encode(), without)[0] is ErrorCode.FILE_EXISTS
        file.chmod(0o666)
        with unprivileged():
            taken(root, name.encode(), OPEN)


# Through a store


@pytest.fixture
def top(root: Root, tmp_path: Path) -> Path:
    (tmp_path / "outside/target").write_bytes(b"target")
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("policy", "name", "code"),
    [
        (WritePolicy(), b"../x", ErrorCode.ACCESS_VIOLATION),
        (WritePolicy(enabled=True), b"../x", ErrorCode.ACCESS_VIOLATION),
        (WritePolicy(enabled=True), b".snowowl-x", ErrorCode.ACCESS_VIOLATION),
        (WritePolicy(enabled=True, patterns=("logs/*",)), b"file", ErrorCode.ACCESS_VIOLATION),
        (WritePolicy(enabled=True), b"nothing/new", ErrorCode.FILE_NOT_FOUND),
        (WritePolicy(enabled=True), b"dir", ErrorCode.ACCESS_VIOLATION),
        (WritePolicy(enabled=True), b"file", ErrorCode.FILE_EXISTS),
        (WritePolicy(enabled=True, create=False), b"new", ErrorCode.FILE_NOT_FOUND),
        (WritePolicy(enabled=True, size_max=9), b"new", ErrorCode.DISK_FULL),
    ],
)
async def test_uploads_against_the_policy_are_refused(
    top: Path, policy: WritePolicy, name: bytes, code: ErrorCode
) -> None:
    store = Store(top, rules=NameRules(), policy=policy)
    before = sorted(top.rglob("*"))
    with pytest.raises(ContentError) as caught:
        await store.create(name, netascii=False, tsize=10)
    assert caught.value.code is code
    assert sorted(top.rglob("*")) == before
    store.close()


async def test_an_upload_over_a_link_leaves_its_target_alone(tmp_path: Path, top: Path) -> None:
    store = Store(top, rules=NameRules(), policy=WritePolicy(enabled=True, overwrite=True))
    async with await store.create(b"out", netascii=False, tsize=None) as sink:
        sink.store(b"\0\3\0\1new", 516, 1)
        await sink.commit()
    assert (tmp_path / "outside/target").read_bytes() == b"target"
    assert (top / "out").read_bytes() == b"new"
    store.close()


async def test_the_size_of_the_policy_holds_without_an_announcement(top: Path) -> None:
    store = Store(top, rules=NameRules(), policy=WritePolicy(enabled=True, size_max=4))
    async with await store.create(b"new", netascii=False, tsize=None) as sink:
        sink.store(b"\0\3\0\1" + b"1234", 8, 1)
        with pytest.raises(ContentError) as caught:
            sink.store(b"\0\3\0\2" + b"5", 8, 1)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert not (top / "new").exists()
    store.close()
