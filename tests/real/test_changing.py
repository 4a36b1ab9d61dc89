"""Files that change while they are sent: the version that was begun, whole, or an ERROR."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.harness import (
    Address,
    Peer,
    RefusedError,
    Server,
    ack,
    fetch,
    option_ack,
    read_on,
    rrq,
    serving,
)

pytestmark = pytest.mark.real

SMALL, LARGE = 20_000, 3_000_000
OPTIONS = (("blksize", 8192), ("windowsize", 1))


@pytest.fixture(scope="module")
def server(shared_root: Path) -> Iterator[Server]:
    with serving(shared_root) as running:
        yield running


def begin(peer: Peer, to: Address) -> tuple[bytes, Address]:
    """Ask for the file; return its first DATA."""
    packet, source = peer.ask(rrq(b"file", *OPTIONS), to)
    assert option_ack(packet)[b"blksize"] == b"8192"
    return peer.ask(ack(0), source)


def outcome(peer: Peer, packet: bytes, source: Address, first: int = 1) -> bytes | int:
    """Read to the end from a block on; return the code if the server ends it by an ERROR."""
    try:
        return read_on(peer, packet, source, 8192, first)
    except RefusedError as refused:
        return refused.code


def truncate(file: Path) -> None:
    os.truncate(file, 10)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def rewrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"N" * file.stat().st_size)


def grow(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"N" * 5000)


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.write_bytes(b"N" * (file.stat().st_size + 1000))
    new.replace(file)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("change", [truncate, empty, rewrite, grow, replace, remove])
@pytest.mark.parametrize("blocks", [1, 2])
def test_change(server: Server, size: int, change: Callable[[Path], None], blocks: int) -> None:
    file = server.root / "file"
    old = os.urandom(size)
    file.write_bytes(old)
    with Peer() as peer:
        packet, source = begin(peer, server.address)
        beginning = b""
        for number in range(1, blocks):
            beginning += packet[4:]
            packet, source = peer.ask(ack(number), source)
        change(file)
        got = outcome(peer, packet, source, first=blocks)
    if isinstance(got, bytes):
        got = beginning + got
    assert got in (0, old)
    if change in (replace, remove):
        assert got == old
    if file.exists():
        new = file.read_bytes()
        assert fetch(server.address, b"file", *OPTIONS) == new


def test_rewritten_again_and_again(server: Server) -> None:
    """Whoever reads while somebody writes gets one version, or an ERROR, and never two mixed."""
    file = server.root / "file"
    versions = {bytes([letter]) * 300_000 for letter in b"abcdefgh"}
    for version in sorted(versions):
        file.write_bytes(version)
        with Peer() as peer:
            packet, source = begin(peer, server.address)
            with file.open("r+b") as stream:
                stream.seek(100_000)
                stream.write(b"z" * 100_000)
            got = outcome(peer, packet, source)
        assert got in (0, version)
    file.write_bytes(b"done")
    assert fetch(server.address, b"file") == b"done"
