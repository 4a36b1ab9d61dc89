"""What the tests of content share: a tree with every kind of trap, strategies, a look for leaks."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from snowowl.content.beneath import Root, Strategy
from snowowl.content.names import NameRules
from snowowl.content.store import Store, WritePolicy

Unprivileged = Callable[[], AbstractContextManager[None]]


def _descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture(autouse=True)
def _no_leaked_descriptors() -> Iterator[None]:
    """Every test of this folder closes what it opened, whatever failed in it on purpose."""
    if not Path("/proc/self/fd").is_dir():
        yield
        return
    before = len(_descriptors())
    yield
    if len(_descriptors()) != before:
        gc.collect()  # tracebacks hold mappings in cycles
    assert len(_descriptors()) == before


@pytest.fixture(params=["openat2", "walk"])
def strategy(request: pytest.FixtureRequest) -> Strategy:
    """Each way to confine that must behave the same."""
    chosen: Strategy = request.param
    try:
        Root("/", chosen).close()
    except OSError:
        pytest.skip(f"no {chosen} here")
    return chosen


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with what a peer may read, beside files that it may not."""
    top = tmp_path_factory.mktemp("confinement")
    (top / "outside").mkdir()
    (top / "outside/file").write_bytes(b"secret")
    (top / "secret").write_bytes(b"secret")
    root = top / "root"
    (root / "dir/deep").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in ("file", "dir/file", "dir/deep/file"):
        (root / name).write_bytes(b"inside " + name.encode())
    links = {
        "to_file": "file",
        "to_dir": "dir",
        "dir/up": "../file",
        "dir/deep/up": "../../dir/file",
        "round": "dir/../to_dir/deep/.././deep/file",
        "dots": "./././file",
        "self": ".",
        "dir_slash": "dir/",
        "dir_up": "dir/deep/..",
        "file_slash": "file/",
        "file_dot": "file/.",
        "file_up": "file/..",
        "dangling": "nothing",
        "loop": "loop",
        "ping": "pong",
        "pong": "ping",
        "absolute": "/etc/hostname",
        "absolute_inside": f"{root}/file",
        "out": "../secret",
        "out_dir": "../outside",
        "out_up": "..",
        "dir/deep/out": "../../../secret",
        "in_and_out": f"../{root.name}/file",
        "magic": "/proc/self/root",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (root / "link0").symlink_to("file")
    for number in range(1, 45):
        (root / f"link{number}").symlink_to(f"link{number - 1}")
    os.mkfifo(root / "fifo")
    # Not by its whole path, which may be too long for an address.
    with socket.socket(socket.AF_UNIX) as unix, contextlib.chdir(root):
        unix.bind("socket")
    return root


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every probe answer as for pages that are on the disk only."""

    def would_wait(*arguments: object) -> int:
        if len(arguments) == 4:  # only the probe has flags
            raise BlockingIOError(errno.EAGAIN, "not cached")
        fd, buffers, offset = arguments
        assert isinstance(fd, int)
        assert isinstance(offset, int)
        assert isinstance(buffers, list)
        return real_preadv(fd, buffers, offset)

    real_preadv = os.preadv
    monkeypatch.setattr("os.preadv", would_wait)


@pytest.fixture
def unprivileged() -> Unprivileged:
    """A context in which permissions count, also for tests that root runs."""

    @contextlib.contextmanager
    def as_nobody() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return as_nobody


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What a store serves: one of each kind of file."""
    top = tmp_path / "root"
    (top / "dir").mkdir(parents=True)
    (top / "small").write_bytes(b"small\n")
    (top / "empty").touch()
    (top / "large").write_bytes(b"line\n" * 40_000)
    (top / "link").symlink_to("large")
    (top / "out").symlink_to("../secret")
    (tmp_path / "secret").write_bytes(b"of a size that no other file has")
    os.mkfifo(top / "fifo")
    return top


@pytest.fixture
def quick(root: Path) -> Iterator[Store]:
    """A store on the best that there is."""
    store = Store(root, rules=NameRules(), policy=WritePolicy(enabled=True))
    yield store
    store.close()


@pytest.fixture
def cached(quick: Store, root: Path) -> Store:
    """A store of which open_now knows the names already."""
    for path in root.iterdir():
        path.lstat()
    for _ in range(100):  # any rename on the machine may make the kernel say: not now
        if quick.open_now(b"empty", netascii=False) and quick.open_now(b"small", netascii=False):
            return quick
    pytest.skip("no RESOLVE_CACHED or RWF_NOWAIT here")
