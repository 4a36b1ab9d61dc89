"""The clients of Debian against a server process: every size that has an edge, both ways."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.real.commands import (
    ATFTP_NETASCII,
    CLIENTS,
    CURL,
    CURL_NETASCII,
    HPA_NETASCII,
    LOCK_STEP_512,
    Client,
)
from tests.real.harness import Server, fetch, serving

pytestmark = pytest.mark.real

MIB = 1 << 20
SIZES = (0, 1, 511, 512, 513, MIB)
LARGE = 64 * MIB
BY_NAME = [pytest.param(client, id=client.name) for client in CLIENTS]

# Lines as a text file of Unix has them, a bare CR, a CR LF, and one across a block's edge.
TEXT = b"one\ntwo\rthree\r\nfour" + b"x" * 489 + b"\n\nend\n"
TEXT_ON_WIRE = TEXT.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@pytest.fixture(scope="module")
def server(shared_root: Path) -> Iterator[Server]:
    for size in SIZES:
        (shared_root / f"get-{size}").write_bytes(os.urandom(size))
    with (shared_root / "large").open("wb") as stream:
        for _ in range(LARGE // MIB):
            stream.write(os.urandom(MIB))
    (shared_root / "text").write_bytes(TEXT)
    with serving(shared_root, "--writable") as running:
        yield running


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("client", BY_NAME)
def test_get(server: Server, tmp_path: Path, client: Client, size: int) -> None:
    client.fetch(server.address, f"get-{size}", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == (server.root / f"get-{size}").read_bytes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("client", BY_NAME)
def test_put(server: Server, tmp_path: Path, client: Client, size: int) -> None:
    (tmp_path / "local").write_bytes(os.urandom(size))
    remote = f"put-{client.name}-{size}"
    client.store(server.address, remote, tmp_path / "local")
    assert (server.root / remote).read_bytes() == (tmp_path / "local").read_bytes()


@pytest.mark.rule("R11")
@pytest.mark.parametrize(
    "client",
    [
        pytest.param(client, id=client.name, marks=[pytest.mark.slow] * (client is not CURL))
        for client in LOCK_STEP_512
    ],
)
def test_more_than_65535_blocks(server: Server, tmp_path: Path, client: Client) -> None:
    """Each client here goes on with block 0 after 65535, both ways."""
    remote = f"large-{client.name}"
    with serving(server.root, "--writable") as other, ThreadPoolExecutor(2) as pool:
        got = pool.submit(client.fetch, server.address, "large", tmp_path / "got", seconds=120)
        (tmp_path / "local").symlink_to(server.root / "large")
        put = pool.submit(client.store, other.address, remote, tmp_path / "local", seconds=120)
        got.result()
        put.result()
    expected = digest(server.root / "large")
    assert digest(tmp_path / "got") == expected
    assert digest(server.root / remote) == expected
    (server.root / remote).unlink()


@pytest.mark.parametrize("client", [HPA_NETASCII, ATFTP_NETASCII], ids=["tftp-hpa", "atftp"])
def test_netascii(server: Server, tmp_path: Path, client: Client) -> None:
    """Line ends are translated on the way and back: the octets are the same on both sides."""
    client.fetch(server.address, "text", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == TEXT
    client.store(server.address, client.name, tmp_path / "got")
    assert (server.root / client.name).read_bytes() == TEXT


def test_netascii_with_curl(server: Server, tmp_path: Path) -> None:
    """curl asks for netascii and translates nothing: it shows, and sends, what is on the wire."""
    CURL_NETASCII.fetch(server.address, "text", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == TEXT_ON_WIRE
    CURL_NETASCII.store(server.address, "curl-netascii", tmp_path / "got")
    assert (server.root / "curl-netascii").read_bytes() == TEXT


def test_netascii_of_a_large_text(server: Server, tmp_path: Path) -> None:
    text = b"".join(b"line %d\r\n" % number for number in range(20_000))
    (server.root / "long-text").write_bytes(text)
    HPA_NETASCII.fetch(server.address, "long-text", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == text


@pytest.mark.rule("R8")
@pytest.mark.rule("R12")
@pytest.mark.parametrize("client", BY_NAME)
def test_missing_file(server: Server, tmp_path: Path, client: Client) -> None:
    """All give up at once, some with an empty local file; tftp-hpa's stray ACK harms nobody."""
    client.fetch(server.address, "missing", tmp_path / "got", seconds=3)
    if (tmp_path / "got").exists():
        assert (tmp_path / "got").read_bytes() == b""
    expected = (server.root / "get-513").read_bytes()
    assert fetch(server.address, b"get-513") == expected


@pytest.mark.parametrize("client", BY_NAME)
def test_put_of_what_exists(server: Server, tmp_path: Path, client: Client) -> None:
    """Without --overwrite nothing is replaced, and each client gives up at once."""
    (tmp_path / "local").write_bytes(b"new")
    before = (server.root / "get-511").read_bytes()
    client.store(server.address, "get-511", tmp_path / "local", seconds=3)
    assert (server.root / "get-511").read_bytes() == before
