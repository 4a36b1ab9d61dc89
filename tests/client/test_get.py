"""RRQ: where the octets go, and that nothing partial is ever left."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio

from snowowl.client.errors import ClientError, Reason
from snowowl.client.get import get
from snowowl.wire.codec import decode_error, opcode_of
from snowowl.wire.constants import Opcode
from tests.client.fake import (
    TID,
    URL,
    Answer,
    FakeNetwork,
    data,
    oack,
    reader,
    refuser,
    silent,
)


def breaks_off(peer: bytes, datagram: bytes) -> Sequence[Answer]:
    """Send one block, then nothing."""
    return ((TID, data(1, bytes(512))),) if opcode_of(datagram) == Opcode.RRQ else ()


def fails_later(peer: bytes, datagram: bytes) -> Sequence[Answer]:
    """Send one block, then an ERROR."""
    return breaks_off(peer, datagram) or ((TID, b"\0\5\0\3full\0"),)


@pytest.mark.parametrize("size", [0, 512, 400_000])
async def test_memory_file_and_descriptor(size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    grant = oack((b"tsize", b"%d" % size), (b"blksize", b"1468"))
    network = FakeNetwork(reader(content, grant, 1468))
    assert (await get(URL, network=network)).octets == content
    path = tmp_path / "a name "
    received = await get(URL, path, network=network)
    assert (received.octets, received.size) == (None, size)
    assert path.read_bytes() == content
    fd = os.open(tmp_path / "by descriptor", os.O_WRONLY | os.O_CREAT)
    await get(URL, fd, network=network)
    os.close(fd)
    assert (tmp_path / "by descriptor").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 2


async def test_netascii(tmp_path: Path) -> None:
    network = FakeNetwork(reader(b"a\r\nb\r\0c\r"))
    url = URL + ";mode=netascii"
    assert (await get(url, network=network)).octets == b"a\nb\rc\r"
    await get(url, tmp_path / "file", network=network)
    assert (tmp_path / "file").read_bytes() == b"a\nb\rc\r"
    readable, writable = os.pipe()
    await get(url, writable, network=network)
    assert os.read(readable, 100) == b"a\nb\rc\r"
    os.close(readable)
    os.close(writable)


async def test_an_old_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for script in (refuser(1), fails_later):
        with pytest.raises(ClientError):
            await get(URL, path, network=FakeNetwork(script))
        assert path.read_bytes() == b"old"
    await get(URL, path, network=FakeNetwork(reader(b"new")))
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


async def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    for script in (refuser(1), fails_later):
        with pytest.raises(ClientError):
            await get(URL, tmp_path / "file", network=FakeNetwork(script))
    assert list(tmp_path.iterdir()) == []


async def test_a_cancellation_leaves_nothing_and_tells_the_server(tmp_path: Path) -> None:
    network = FakeNetwork(breaks_off)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(get, URL, tmp_path / "file", network=network))
        with trio.fail_after(10):
            while not network.sent_to(TID):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert list(tmp_path.iterdir()) == []
    assert decode_error(network.sent_to(TID)[-1]).code == 0


async def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("made")
    for name in ("link", "dangling"):
        await get(URL, tmp_path / name, network=FakeNetwork(reader(b"new")))
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "real").read_bytes() == (tmp_path / "made").read_bytes() == b"new"


async def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("no/where")
    places = (
        tmp_path,
        "",
        tmp_path / "no/where",
        tmp_path / "plain/x",
        tmp_path / "loop",
        "/proc/x",
    )
    for place in (*places, tmp_path / "dangling", tmp_path / ("x" * 300)):
        network = FakeNetwork(reader(b"x"))
        with pytest.raises(ClientError) as caught:
            await get(URL, place, network=network)
        assert caught.value.reason is Reason.LOCAL_WRITE, place
        assert [octets for _, peer, octets in network.sent if peer == TID] == []


async def test_devices_and_pipes(tmp_path: Path) -> None:
    await get(URL, "/dev/null", network=FakeNetwork(reader(b"gone")))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(ClientError, match="No space left") as caught:
        await get(URL, "/dev/full", network=FakeNetwork(reader(b"too much")))
    assert caught.value.reason is Reason.LOCAL_WRITE
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    readable = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    await get(URL, pipe, network=FakeNetwork(reader(b"through")))
    assert os.read(readable, 100) == b"through"
    os.close(readable)


async def test_a_reader_that_goes_away() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    network = FakeNetwork(reader(bytes(1000)))
    with pytest.raises(ClientError, match="Broken pipe") as caught:
        await get(URL, writable, network=network)
    os.close(writable)
    assert caught.value.reason is Reason.LOCAL_WRITE
    assert opcode_of(network.sent_to(TID)[-1]) == Opcode.ERROR


async def test_cancelled_while_nobody_reads(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    with trio.move_on_after(0.2) as scope:
        await get(URL, writable, network=FakeNetwork(reader(bytes(1_000_000))))
    assert scope.cancelled_caught
    os.close(readable)  # lets the thread go
    os.close(writable)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with trio.move_on_after(0.05) as scope:
        await get(URL, pipe, network=FakeNetwork(silent))
    assert scope.cancelled_caught
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))


async def test_progress() -> None:
    told: list[tuple[int, int | None]] = []
    grant = oack((b"tsize", b"1200"))
    await get(
        URL,
        network=FakeNetwork(reader(bytes(1200), grant)),
        progress=lambda *now: told.append(now),
    )
    assert told[-1] == (1200, 1200)
    assert [octets for octets, _ in told] == sorted(octets for octets, _ in told)


async def test_progress_without_a_size() -> None:
    told: list[tuple[int, int | None]] = []
    await get(URL, network=FakeNetwork(reader(bytes(1200))), progress=lambda *now: told.append(now))
    assert told[-1] == (1200, None)


@pytest.mark.parametrize("url", ["", "http://h/f", "tftp://h/"])
async def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError):
        await get(url)
