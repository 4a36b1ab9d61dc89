from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowowl.content.beneath import Root, Strategy
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules, components
from snowowl.wire.constants import ErrorCode

NOT_FOUND = ErrorCode.FILE_NOT_FOUND
VIOLATION = ErrorCode.ACCESS_VIOLATION

INSIDE = {
    "file": "file",
    "dir/file": "dir/file",
    "to_file": "file",
    "to_dir/file": "dir/file",
    "to_dir/deep/file": "dir/deep/file",
    "to_dir/deep/up": "dir/file",
    "dir/up": "file",
    "dir/deep/up": "dir/file",
    "round": "dir/deep/file",
    "dots": "file",
    "self/self/self/file": "file",
    "dir_slash/file": "dir/file",
    "dir_up/file": "dir/file",
    "link0": "file",
    "link39": "file",  # 40 links: the most that Linux follows
}

REFUSED = {
    "nothing": NOT_FOUND,
    "nothing/file": NOT_FOUND,
    "dir/nothing": NOT_FOUND,
    "file/below": NOT_FOUND,
    "to_file/below": NOT_FOUND,
    "file_slash": NOT_FOUND,
    "file_dot": NOT_FOUND,
    "file_up": NOT_FOUND,
    "file_up/file": NOT_FOUND,
    "dangling": NOT_FOUND,
    "dangling/file": NOT_FOUND,
    "n" * 256: NOT_FOUND,
    "link40": VIOLATION,
    "link40/file": VIOLATION,
    "loop": VIOLATION,
    "loop/file": VIOLATION,
    "ping": VIOLATION,
    "absolute": VIOLATION,
    "absolute_inside": VIOLATION,
    "out": VIOLATION,
    "out_dir": VIOLATION,
    "out_dir/file": VIOLATION,
    "out_up": VIOLATION,
    "out_up/secret": VIOLATION,
    "dir/deep/out": VIOLATION,
    "in_and_out": VIOLATION,
    "magic": VIOLATION,
    "magic/etc/hostname": VIOLATION,
    "socket": VIOLATION,
    # Not from `components`, but a root must hold by itself.
    "..": VIOLATION,
    "../secret": VIOLATION,
    "dir/../../secret": VIOLATION,
    "": NOT_FOUND,
}

# A name made of the tree's own pieces gets further into it than noise.
PIECES = st.one_of(
    st.sampled_from([b"file", b"dir", b"deep", b"up", b"to_dir", b"self", b".", b"..", b""]),
    st.sampled_from([b"out", b"out_dir", b"out_up", b"magic", b"loop", b"root", b"etc"]),
    st.binary(min_size=1, max_size=6),
)


def parts_of(name: str) -> tuple[bytes, ...]:
    return tuple(name.encode().split(b"/"))


def content_of(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.fixture(scope="module", params=["openat2", "walk", "portable"])
def any_root(request: pytest.FixtureRequest, tree: Path) -> Iterator[Root]:
    try:
        root = Root(tree, request.param)
    except OSError:
        pytest.skip(f"no {request.param} here")
    with root:
        yield root


@pytest.fixture
def root(tree: Path, strategy: Strategy) -> Iterator[Root]:
    with Root(tree, strategy) as root:
        assert root.strategy == strategy
        yield root


@pytest.mark.parametrize("name", INSIDE)
def test_what_lies_inside_is_opened_by_links_too(root: Root, name: str) -> None:
    assert content_of(root.open(parts_of(name), os.O_RDONLY)) == b"inside " + INSIDE[name].encode()


@pytest.mark.parametrize("name", REFUSED)
def test_what_lies_outside_or_nowhere_is_refused(root: Root, name: str) -> None:
    with pytest.raises(ContentError) as caught:
        root.open(parts_of(name), os.O_RDONLY)
    assert caught.value.code is REFUSED[name]
    with contextlib.suppress(ContentError):
        assert root.open_cached(parts_of(name), os.O_RDONLY) is None


@pytest.mark.parametrize("name", INSIDE)
def test_a_parent_is_found_by_links_too(tree: Path, root: Root, name: str) -> None:
    directory = root.open_parent(parts_of(name))
    try:
        assert directory.fd is not None
        assert Path(f"/proc/self/fd/{directory.fd}").samefile((tree / name).parent)
        assert directory.prefix == b""
    finally:
        directory.close()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing/file", NOT_FOUND),
        ("file/new", NOT_FOUND),
        ("out_dir/new", VIOLATION),
        ("out_up/new", VIOLATION),
        ("magic/new", VIOLATION),
        ("loop/new", VIOLATION),
    ],
)
def test_no_parent_outside_or_nowhere(root: Root, name: str, code: ErrorCode) -> None:
    with pytest.raises(ContentError) as caught:
        root.open_parent(parts_of(name))
    assert caught.value.code is code


@pytest.mark.parametrize(
    "name", ["root/etc/passwd", "cwd", "exe", "fd/0", "fd/1", "task/self/root", "ns/net"]
)
def test_magic_links_of_proc_are_refused(strategy: Strategy, name: str) -> None:
    with Root("/proc/self", strategy) as root, pytest.raises(ContentError):
        os.close(root.open(parts_of(name), os.O_RDONLY))


def test_a_fifo_does_not_hang(root: Root) -> None:
    os.close(root.open((b"fifo",), os.O_RDONLY))


def test_an_unreadable_file_is_an_access_violation(
    tmp_path: Path, strategy: Strategy, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    (tmp_path / "file").write_bytes(b"private")
    (tmp_path / "file").chmod(0)
    (tmp_path / "dir").mkdir(0o700)
    (tmp_path / "dir").chmod(0)
    tmp_path.chmod(0o755)
    with Root(tmp_path, strategy) as root, unprivileged():
        for name in ("file", "dir/file"):
            with pytest.raises(ContentError) as caught:
                root.open(parts_of(name), os.O_RDONLY)
            assert caught.value.code is VIOLATION


def test_descriptors_are_not_inherited(root: Root) -> None:
    directory = root.open_parent((b"file",))
    fd = root.open((b"file",), os.O_RDONLY)
    try:
        assert directory.fd is not None
        assert not os.get_inheritable(fd)
        assert not os.get_inheritable(directory.fd)
    finally:
        os.close(fd)
        directory.close()


def test_a_file_can_be_made_with_a_mode(tmp_path: Path, strategy: Strategy) -> None:
    with Root(tmp_path, strategy) as root:
        os.close(root.open((b"new",), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_nul_does_not_end_the_name(any_root: Root) -> None:
    with pytest.raises(ContentError) as caught:
        any_root.open((b"file\0x",), os.O_RDONLY)
    assert caught.value.code is VIOLATION
    if any_root.strategy == "openat2":
        with pytest.raises(ContentError):
            any_root.open_cached((b"file\0x",), os.O_RDONLY)


@pytest.mark.parametrize("parts", [(b"dir\0x", b"new"), (b"loop", b"dir\0x", b"new")])
def test_a_nul_does_not_end_the_name_of_a_directory(
    any_root: Root, parts: tuple[bytes, ...]
) -> None:
    with pytest.raises(ContentError) as caught:
        any_root.open_parent(parts)
    assert caught.value.code is VIOLATION


def test_the_detail_names_what_was_asked_for_and_the_message_does_not(root: Root) -> None:
    with pytest.raises(ContentError) as caught:
        root.open((b"dir", b"a\nb"), os.O_RDONLY)
    assert caught.value.message == "file not found"
    assert caught.value.detail.startswith("'dir/a\\x0ab'")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.one_of(st.binary(min_size=1, max_size=40), st.lists(PIECES, max_size=6).map(b"/".join)),
    checked=st.booleans(),
)
def test_no_name_opens_a_foreign_octet(
    any_root: Root, tree: Path, name: bytes, checked: bool
) -> None:
    try:
        parts = components(name, NameRules()) if checked else tuple(name.split(b"/"))
        cached = any_root.open_cached(parts, os.O_RDONLY)
        if cached is not None:
            os.close(cached)
        fd = any_root.open(parts, os.O_RDONLY)
    except ContentError:
        return
    try:
        assert Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(tree)
    finally:
        os.close(fd)


def test_a_directory_swapped_for_a_link_leads_nowhere_else(
    tmp_path: Path, strategy: Strategy
) -> None:
    inside, outside = tmp_path / "root", tmp_path / "outside"
    for directory, octets in ((inside / "swap", b"inside"), (outside, b"foreign")):
        directory.mkdir(parents=True)
        (directory / "file").write_bytes(octets)
    (inside / "dir").mkdir()
    (inside / "dir/link").symlink_to("../swap/../swap/file")
    over = threading.Event()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00005)  # so that the two threads interleave

    def swap() -> None:
        while not over.is_set():
            (inside / "swap").rename(inside / "kept")
            (inside / "swap").symlink_to("../outside")
            (inside / "swap").unlink()
            (inside / "kept").rename(inside / "swap")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = []
    try:
        with Root(inside, strategy) as root:
            begun = time.monotonic()
            while time.monotonic() < begun + 0.2 or (
                b"inside" not in seen and time.monotonic() < begun + 20
            ):
                for name in ("swap/file", "dir/link"):
                    with contextlib.suppress(ContentError):
                        seen.append(content_of(root.open(parts_of(name), os.O_RDONLY)))
                    with contextlib.suppress(ContentError):
                        fd = root.open_cached(parts_of(name), os.O_RDONLY)
                        if fd is not None:
                            seen.append(content_of(fd))
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert set(seen) == {b"inside"}


def test_the_root_is_the_directory_not_its_path(tmp_path: Path, strategy: Strategy) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/file").write_bytes(b"one")
    (tmp_path / "current").symlink_to("one")
    with Root(tmp_path / "current", strategy) as root:
        (tmp_path / "current").unlink()
        (tmp_path / "one").rename(tmp_path / "moved")
        assert content_of(root.open((b"file",), os.O_RDONLY)) == b"one"


@pytest.mark.parametrize("chosen", ["auto", "openat2", "walk", "portable"])
def test_a_root_that_is_no_directory_is_an_error_of_the_system(
    tmp_path: Path, chosen: Strategy
) -> None:
    with pytest.raises(FileNotFoundError):
        Root(tmp_path / "nothing", chosen)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Root(tmp_path / "file", chosen)


def test_a_closed_root_opens_nothing(tmp_path: Path, strategy: Strategy) -> None:
    (tmp_path / "file").touch()
    root = Root(tmp_path, strategy)
    root.close()
    root.close()
    assert root.open_cached((b"file",), os.O_RDONLY) is None
    with pytest.raises(ContentError) as caught:
        root.open((b"file",), os.O_RDONLY)
    assert caught.value.code is ErrorCode.NOT_DEFINED


def test_a_kernel_without_openat2_walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(root_fd: int) -> None:
        raise PermissionError(1, "as a seccomp filter answers")

    monkeypatch.setattr("snowowl.content.beneath.Openat2", refuse)
    with Root(tmp_path) as root:
        assert root.strategy == "walk"
    with pytest.raises(PermissionError):
        Root(tmp_path, "openat2")


def test_a_system_without_directory_descriptors_is_served_by_resolved_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.supports_dir_fd", set())
    with Root(tmp_path) as root:
        assert root.strategy == "portable"


@pytest.mark.parametrize("name", INSIDE)
def test_portable_opens_what_lies_inside(tree: Path, name: str) -> None:
    with Root(tree, "portable") as root:
        assert content_of(root.open(parts_of(name), os.O_RDONLY)).startswith(b"inside")
        directory = root.open_parent(parts_of(name))
        directory.close()
        assert Path(os.fsdecode(directory.prefix)).samefile((tree / name).parent)
        assert root.open_cached(parts_of(name), os.O_RDONLY) is None


@pytest.mark.parametrize(
    "name",
    ["out", "out_dir/file", "out_up/secret", "dir/deep/out", "absolute", "magic/etc/hostname"],
)
def test_portable_opens_nothing_outside(tree: Path, name: str) -> None:
    with Root(tree, "portable") as root:
        with pytest.raises(ContentError) as caught:
            root.open(parts_of(name), os.O_RDONLY)
        assert caught.value.code is VIOLATION
        if name.startswith(("out_", "magic")):
            with pytest.raises(ContentError):
                root.open_parent(parts_of(name))


def test_portable_refuses_what_has_no_common_path(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_drive(paths: list[bytes]) -> bytes:
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", other_drive)
    with Root(tree, "portable") as root, pytest.raises(ContentError) as caught:
        root.open((b"C:", b"x"), os.O_RDONLY)
    assert caught.value.code is VIOLATION


def test_portable_takes_no_neighbour_for_the_root(tmp_path: Path) -> None:
    # SECURITY.md 8: a prefix compared without its separator.
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2/file").write_bytes(b"foreign")
    (tmp_path / "root/link").symlink_to("../root2/file")
    with Root(tmp_path / "root", "portable") as root, pytest.raises(ContentError):
        root.open((b"link",), os.O_RDONLY)
