from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Literal

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowowl.content import store as store_module
from snowowl.content.allowance import Allowance, Limits
from snowowl.content.beneath import Strategy
from snowowl.content.errors import ContentError
from snowowl.content.files import SMALL_MAX
from snowowl.content.mapped import MappedFile
from snowowl.content.names import NameRules
from snowowl.content.naming import Template
from snowowl.content.source import Source
from snowowl.content.store import Store, WritePolicy
from snowowl.content.temporary import Kind
from snowowl.content.text import TextIndex
from snowowl.wire import netascii
from snowowl.wire.constants import ErrorCode

UPLOADS = WritePolicy(enabled=True)
LARGE = b"line\n" * 40_000
SECRET = b"of a size that no other file has"


@pytest.fixture(params=["openat2", "walk", "portable"])
def store(request: pytest.FixtureRequest, root: Path) -> Iterator[Store]:
    chosen: Strategy = request.param
    try:
        store = Store(root, rules=NameRules(), policy=UPLOADS, strategy=chosen)
    except OSError:
        pytest.skip(f"no {chosen} here")
    yield store
    store.close()


def send(view: memoryview) -> bytes:
    """Return what the kernel makes of a view: Python may not look into a mapping."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        left.sendmsg([view])
        return right.recv(len(view) + 1)


def whole(source: Source) -> bytes:
    octets = b""
    for offset in range(0, source.size, 50_000):
        source.load(offset, 50_000)
        octets += send(source.view(offset, 50_000))
    source.check()
    return octets


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# Opening


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"small", "small"),
        (b"empty", "empty"),
        (b"large", "large"),
        (b"link", "large"),
        (b"//large\xff", "large"),
        (b"dir\\large..", "dir/large.."),
    ],
)
async def test_files_are_opened_as_clients_name_them(
    store: Store, root: Path, name: bytes, path: str, text: bool
) -> None:
    (root / "dir/large..").write_bytes(LARGE)
    octets = (root / path).read_bytes()
    source = await store.open(name, netascii=text)
    expected = netascii.encode(octets) if text else octets
    assert source.size == len(expected)
    assert whole(source) == expected
    source.close()
    source.close()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"nothing", ErrorCode.FILE_NOT_FOUND),
        (b"nothing/small", ErrorCode.FILE_NOT_FOUND),
        (b"small/x", ErrorCode.FILE_NOT_FOUND),
        (b"", ErrorCode.FILE_NOT_FOUND),
        (b"../secret", ErrorCode.ACCESS_VIOLATION),
        (b"out", ErrorCode.ACCESS_VIOLATION),
        (b"dir", ErrorCode.ACCESS_VIOLATION),
        (b"fifo", ErrorCode.ACCESS_VIOLATION),
        (b"small\0", ErrorCode.ACCESS_VIOLATION),
    ],
)
async def test_what_is_no_file_beneath_the_root_is_refused(
    store: Store, name: bytes, code: ErrorCode, text: bool
) -> None:
    for _ in range(2):  # the kernel knows it the second time
        with pytest.raises(ContentError) as caught:
            store.open_now(name, netascii=text) or await store.open(name, netascii=text)
        assert caught.value.code is code
        assert "secret" not in caught.value.message


async def test_an_unreadable_file_is_an_access_violation(
    root: Path, quick: Store, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    root.chmod(0o755)
    (root / "small").chmod(0)
    with unprivileged(), pytest.raises(ContentError) as caught:
        await quick.open(b"small", netascii=False)
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.one_of(
        st.binary(min_size=1, max_size=30),
        st.lists(
            st.sampled_from([b"dir", b"out", b"small", b"large", b"..", b"", b"fifo", b"\xff"]),
            max_size=4,
        ).map(b"/".join),
    ),
    text=st.booleans(),
)
async def test_whatever_the_octets_opening_ends_as_documented(
    store: Store, name: bytes, text: bool
) -> None:
    try:
        source = store.open_now(name, netascii=text) or await store.open(name, netascii=text)
    except ContentError:
        return
    assert source.size != len(SECRET)
    source.close()


# Sharing


@pytest.mark.parametrize("text", [False, True])
async def test_a_storm_shares_one_mapping(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: bool
) -> None:
    counted: list[int] = []
    real_count = TextIndex.count

    def count(index: TextIndex, pieces_max: int) -> None:
        counted.append(pieces_max)
        real_count(index, pieces_max)

    monkeypatch.setattr(TextIndex, "count", count)
    sources: list[Source] = []

    async def one() -> None:
        sources.append(await store.open(b"large", netascii=text))

    before = descriptors()
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(one)
    # A mapping of Python before 3.13 keeps a second descriptor.
    assert descriptors() - before <= 2
    assert len(store._shelf) == 1
    assert len(counted) == (1 if text else 0)
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    assert maps.count("root/large\n") == 1
    for source in sources:
        source.close()


async def test_a_replaced_file_is_new_for_new_readers_only(store: Store, root: Path) -> None:
    old = await store.open(b"large", netascii=False)
    (root / "next").write_bytes(b"new!!" * 40_000)
    (root / "next").rename(root / "large")
    new = await store.open(b"large", netascii=False)
    assert whole(new) == b"new!!" * 40_000
    assert whole(old) == LARGE
    old.close()
    new.close()


async def test_a_small_file_written_again_in_the_same_tick_is_not_mixed_up(
    cached: Store, root: Path
) -> None:
    for number in range(20):
        octets = b"%02d" % number
        (root / "small").write_bytes(octets)
        source = cached.open_now(b"small", netascii=False)
        source = source or await cached.open(b"small", netascii=False)
        assert whole(source) == octets


async def test_unused_files_are_kept_for_a_while(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    before = descriptors()
    source = await store.open(b"large", netascii=True)
    source.close()
    assert len(store._shelf) == 1
    again = await store.open(b"large", netascii=True)
    await trio.sleep(60)
    assert len(store._shelf) == 1  # in use
    again.close()
    await store.open(b"small", netascii=False)
    assert len(store._shelf) == 1
    await trio.sleep(60)
    assert len(store._shelf) == 1  # no timer
    await store.open(b"small", netascii=False)
    assert not len(store._shelf)
    assert descriptors() == before


async def test_a_file_that_cannot_be_mapped_leaves_nothing_open(
    quick: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: MappedFile, *arguments: object) -> None:
        raise ContentError(ErrorCode.NOT_DEFINED, "server is out of resources, try again")

    monkeypatch.setattr(MappedFile, "__init__", refuse)
    for _ in range(2):
        with pytest.raises(ContentError):
            await quick.open(b"large", netascii=False)


async def test_text_that_changes_while_it_is_counted_is_given_back(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_count = TextIndex.count

    def count(index: TextIndex, pieces_max: int) -> None:
        os.truncate(root / "large", SMALL_MAX + 1)
        real_count(index, pieces_max)

    monkeypatch.setattr(TextIndex, "count", count)
    with pytest.raises(ContentError) as caught:
        await store.open(b"large", netascii=True)
    assert caught.value.message == "file changed while it was sent"
    assert [file.users for file in store._shelf._mapped.values()] == [0]


async def test_a_look_that_fails_is_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("os.fstat", fail)
        with pytest.raises(ContentError) as caught:
            await store.open(b"large", netascii=False)
    assert caught.value.message == "input or output error"


async def test_cancelled_opening_leaves_nothing_open(quick: Store, root: Path) -> None:
    store = Store(root, rules=NameRules(), policy=UPLOADS, strategy="walk")
    for name in (b"large", b"small"):
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.open(name, netascii=True)
        assert scope.cancelled_caught
    assert not len(store._shelf)
    store.close()


# Closing


async def test_closing_waits_for_no_transfer_and_takes_nothing_from_it(store: Store) -> None:
    kept = await store.open(b"large", netascii=False)
    text = await store.open(b"large", netascii=True)
    store.close()
    store.close()
    assert whole(kept) == LARGE
    kept.close()
    assert whole(text) == netascii.encode(LARGE)
    text.close()
    assert not len(store._shelf)
    for late in (store.open(b"small", netascii=False), store.create(b"x", netascii=False, tsize=0)):
        with pytest.raises(ContentError):
            await late
    with pytest.raises(ContentError):
        store.open_now(b"small", netascii=False)


@pytest.mark.parametrize("name", [b"large", b"small"])
async def test_the_root_outlives_the_threads_that_use_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    """A closed descriptor's number is given to the next file: it might be another root's."""
    began, go_on = threading.Event(), threading.Event()
    real_open = store_module._open

    def slow_open(*arguments: object) -> object:
        began.set()
        assert go_on.wait(10)
        return real_open(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "_open", slow_open)
    store = Store(root, rules=NameRules(), policy=UPLOADS, strategy="walk")
    size = (root / os.fsdecode(name)).stat().st_size

    async def read() -> None:
        source = await store.open(name, netascii=False)
        assert source.size == size
        source.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.to_thread.run_sync(began.wait)
        store.close()
        go_on.set()
    assert not len(store._shelf)


def test_a_root_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Store(tmp_path / "nothing", rules=NameRules(), policy=UPLOADS)


# Uploads


@pytest.mark.parametrize("temporary", ["auto", "named"])
@pytest.mark.parametrize("text", [False, True])
async def test_an_upload_can_be_read_as_soon_as_it_is_committed(
    root: Path, temporary: Kind, text: bool
) -> None:
    store = Store(root, rules=NameRules(), policy=UPLOADS, temporary=temporary)
    async with await store.create(b"/dir\\new\xff", netascii=text, tsize=4) as sink:
        sink.store(b"\0\3\0\1a\r\nb", 516, 1)
        await sink.commit()
    source = await store.open(b"dir/new", netascii=text)
    assert whole(source) == b"a\r\nb"
    assert (root / "dir/new").read_bytes() == (b"a\nb" if text else b"a\r\nb")
    store.close()


async def test_creation_cancelled_leaves_nothing(root: Path) -> None:
    store = Store(root, rules=NameRules(), policy=UPLOADS, temporary="named")
    with trio.CancelScope() as scope:
        scope.cancel()
        async with await store.create(b"new", netascii=False, tsize=None):
            await trio.lowlevel.checkpoint()
    assert not [path for path in root.iterdir() if path.name.startswith(".snowowl")]
    store.close()


# Names and limits of uploads


async def send_up(store: Store, name: bytes, octets: bytes, **others: str) -> bytes:
    """Upload some octets; return the name that they were stored by."""
    async with await store.create(name, netascii=False, tsize=len(octets), **others) as sink:
        sink.store(b"\0\3\0\1" + octets, 4 + len(octets), 1)
        await sink.commit()
        return sink.stored


def uploads(
    unique: Literal["if-taken", "always"],
    text: str,
    *,
    overwrite: bool = False,
    create: bool = True,
) -> WritePolicy:
    return WritePolicy(
        enabled=True,
        overwrite=overwrite,
        create=create,
        unique=unique,
        unique_name=Template(text),
    )


@pytest.mark.parametrize("temporary", ["auto", "named"])
async def test_uploads_of_a_taken_name_get_another(root: Path, temporary: Kind) -> None:
    policy = uploads("if-taken", "{stem}-{client}-{number}{suffix}", overwrite=True)
    store = Store(root, rules=NameRules(), policy=policy, temporary=temporary)
    asked = [b"dir/new.log"] * 3 + [b"small"]
    stored = [await send_up(store, name, b"x", client="[fe80::1%e0]:7") for name in asked]
    assert stored == [
        b"dir/new.log",
        b"dir/new-fe80--1-e0-1.log",
        b"dir/new-fe80--1-e0-2.log",
        b"small-fe80--1-e0-1",
    ]
    assert (root / "small").read_bytes() == b"small\n"
    with pytest.raises(ContentError):  # that is hardly what was meant
        await send_up(store, b"dir", b"x")
    store.close()


async def test_uploads_always_get_a_name_of_their_own(root: Path) -> None:
    store = Store(root, rules=NameRules(), policy=uploads("always", "{port}.{number}"))
    for name in (b"small", b"new", b"dir", b"out", b"fifo"):
        stored = await send_up(store, name, name, client="192.0.2.9:2000")
        assert stored.startswith(b"2000.")
        assert (root / os.fsdecode(stored)).read_bytes() == name
    with pytest.raises(ContentError) as caught:
        await store.create(b".x", netascii=False, tsize=None)
    assert caught.value.code is ErrorCode.ACCESS_VIOLATION
    store.close()


@pytest.mark.parametrize("unique", ["if-taken", "always"])
async def test_however_many_upload_one_name_at_once_all_are_kept(
    root: Path, unique: Literal["if-taken", "always"]
) -> None:
    store = Store(root, rules=NameRules(), policy=uploads(unique, "{name}.{number}"))
    stored: dict[bytes, bytes] = {}

    async def one(octets: bytes) -> None:
        stored[octets] = await send_up(store, b"dir/core", octets)

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, b"%d" % number * 100)
    assert len(set(stored.values())) == 40
    for octets, name in stored.items():
        assert (root / os.fsdecode(name)).read_bytes() == octets
    assert len(list((root / "dir").iterdir())) == 40
    store.close()


async def test_names_come_to_an_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowowl.content.naming.NUMBERS_MAX", 2)
    store = Store(root, rules=NameRules(), policy=uploads("always", "{name}.{number}"))
    await send_up(store, b"new", b"1")
    await send_up(store, b"new", b"2")
    with pytest.raises(ContentError) as caught:
        await send_up(store, b"new", b"3")
    assert caught.value.code is ErrorCode.FILE_EXISTS
    assert not [path for path in root.iterdir() if path.name.startswith(".")]
    store.close()


async def test_a_template_that_makes_no_name_is_told_before_anything_is_sent(root: Path) -> None:
    for policy in (uploads("always", ".{number}"), uploads("always", "x{number}", create=False)):
        store = Store(root, rules=NameRules(), policy=policy)
        with pytest.raises(ContentError) as caught:
            await store.create(b"new", netascii=False, tsize=None)
        assert caught.value.code is ErrorCode.ACCESS_VIOLATION
        assert store.allowance.uploads == 0
        store.close()


async def test_hidden_files_are_served_through_visible_links_only(root: Path) -> None:
    """As Kubernetes mounts a ConfigMap: `name -> ..data/name`, `..data -> ..2026_11_29`."""
    (root / "..2026").mkdir()
    (root / "..2026/config").write_bytes(b"of a ConfigMap")
    (root / "..data").symlink_to("..2026")
    (root / "config").symlink_to("..data/config")
    store = Store(root, rules=NameRules(), policy=UPLOADS)
    source = await store.open(b"config", netascii=False)
    assert whole(source) == b"of a ConfigMap"
    for name in (b"..data/config", b"..2026/config"):
        with pytest.raises(ContentError) as caught:
            await store.open(name, netascii=False)
        assert caught.value.code is ErrorCode.FILE_NOT_FOUND
    store.close()


async def test_files_that_are_unused_make_room_and_those_in_use_do_not(root: Path) -> None:
    for number in range(4):
        (root / f"large{number}").write_bytes(LARGE)
    allowance = Allowance(Limits(open_files_max=2))
    store = Store(root, rules=NameRules(), policy=UPLOADS, allowance=allowance)
    for number in range(4):
        (await store.open(b"large%d" % number, netascii=False)).close()
        assert allowance.open_files <= 2
    kept = [await store.open(b"large%d" % number, netascii=False) for number in range(2)]
    (await store.open(b"small", netascii=False)).close()  # holds no file
    again = await store.open(b"large0", netascii=False)
    again.close()
    before = descriptors()
    for late in (
        store.open(b"large3", netascii=False),
        store.create(b"new", netascii=False, tsize=None),
    ):
        with pytest.raises(ContentError) as caught:
            await late
        assert (caught.value.code, caught.value.limit) == (0, "open_files_max")
    with suppress(ContentError):  # or it is not known to be cached
        assert store.open_now(b"large3", netascii=False) is None
    assert descriptors() == before
    kept.pop().close()
    async with await store.create(b"new", netascii=False, tsize=None):
        assert allowance.open_files == 2
    store.close()
    kept.pop().close()
    assert allowance.open_files == 0
