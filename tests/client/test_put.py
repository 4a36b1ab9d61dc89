"""WRQ: what can be sent, and what the server and the caller are told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from snowowl.client.errors import ClientError, Reason
from snowowl.client.options import ClientOptions
from snowowl.client.put import put
from snowowl.wire.codec import decode_error, decode_request, opcode_of
from snowowl.wire.constants import Opcode
from tests.client.fake import (
    LISTENING,
    TID,
    URL,
    Answer,
    FakeNetwork,
    number_of,
    oack,
    refuser,
    silent,
    writer,
)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 100_000])
async def test_octets_and_files(size: int, tmp_path: Path) -> None:
    octets = os.urandom(size)
    path = tmp_path / "file with space "
    path.write_bytes(octets)
    link = tmp_path / "link"
    link.symlink_to(path)
    for source in (octets, path, str(path), link):
        into: list[bytes] = []
        sent = await put(source, URL, network=FakeNetwork(writer(into)))
        assert b"".join(into) == octets
        assert len(into) == size // 512 + 1
        assert (sent.size, sent.confirmed) == (size, True)


async def test_descriptor_and_pipe(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    os.write(writable, b"through a pipe")
    os.close(writable)
    into: list[bytes] = []
    await put(readable, URL, network=FakeNetwork(writer(into)))
    os.close(readable)
    assert into == [b"through a pipe"]
    into = []
    assert (await put("/dev/null", URL, network=FakeNetwork(writer(into)))).size == 0
    assert into == [b""]


async def test_netascii() -> None:
    into: list[bytes] = []
    sent = await put(b"a\nb\rc", URL + ";mode=netascii", network=FakeNetwork(writer(into)))
    assert into == [b"a\r\nb\r\0c"]
    assert sent.size == 7


async def test_the_size_is_announced(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\n" * 10)
    for url, size in ((URL, b"10"), (URL + ";mode=netascii", b"20")):
        network = FakeNetwork(writer([]))
        told: list[tuple[int, int | None]] = []
        await put(path, url, network=network, progress=lambda *now, told=told: told.append(now))
        (request,) = network.sent_to(LISTENING)
        assert dict(decode_request(request).options)[b"tsize"] == size
        assert told[-1] == (int(size), int(size))


async def test_error_8_and_once_more_without() -> None:
    into: list[bytes] = []
    base, refusal = writer(into), refuser(8)

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        asked = opcode_of(datagram) == Opcode.WRQ and decode_request(datagram).options
        return (refusal if asked else base)(peer, datagram)

    assert (await put(b"plain", URL, network=FakeNetwork(script))).granted == ()
    assert into == [b"plain"]


async def test_a_last_ack_that_does_not_come(autojump_clock: trio.testing.MockClock) -> None:
    into: list[bytes] = []
    base = writer(into)

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        is_last = opcode_of(datagram) == Opcode.DATA and number_of(datagram) == 2
        return () if is_last else base(peer, datagram)

    sent = await put(bytes(600), URL, network=FakeNetwork(script), options=ClientOptions.none())
    assert not sent.confirmed
    assert sent.size == 600


async def test_a_grant_that_is_too_large() -> None:
    network = FakeNetwork(writer([], oack((b"windowsize", b"64"))))
    with pytest.raises(ClientError, match="more than was asked") as caught:
        await put(b"x", URL, network=network)
    assert caught.value.reason is Reason.PROTOCOL
    assert decode_error(network.sent_to(TID)[-1]).code == 8


@pytest.mark.parametrize("code", [1, 2, 3, 6])
async def test_an_error_of_the_server(code: int) -> None:
    with pytest.raises(ClientError) as caught:
        await put(b"x", URL, network=FakeNetwork(refuser(code)))
    assert (caught.value.reason, caught.value.code) == (Reason.SERVER, code)


async def test_what_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    folder = os.open(tmp_path, os.O_RDONLY)
    network = FakeNetwork(silent)
    for source in (tmp_path / "missing", tmp_path, tmp_path / "x" / "y", loop, folder, 987_654):
        with pytest.raises(ClientError, match="cannot read") as caught:
            await put(source, URL, network=network)
        assert caught.value.reason is Reason.LOCAL_READ
    os.close(folder)
    assert network.sent == []


async def test_a_file_that_changes_while_it_is_sent(tmp_path: Path) -> None:
    """Appended to: the octets that are mapped stay readable, also without a real socket."""
    path = tmp_path / "file"
    path.write_bytes(bytes(300_000))
    base = writer([])

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if opcode_of(datagram) == Opcode.DATA and number_of(datagram) == 5:
            path.write_bytes(bytes(300_001))
        return base(peer, datagram)

    network = FakeNetwork(script)
    with pytest.raises(ClientError) as caught:
        await put(path, URL, network=network)
    assert caught.value.reason is Reason.LOCAL_READ
    assert opcode_of(network.sent_to(TID)[-1]) == Opcode.ERROR


async def test_cancelled_while_a_pipe_has_no_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with trio.move_on_after(0.05) as scope:
        await put(pipe, URL, network=FakeNetwork(silent))
    assert scope.cancelled_caught
    os.close(os.open(pipe, os.O_WRONLY))  # lets the thread go
