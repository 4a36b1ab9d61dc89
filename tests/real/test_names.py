"""Names that lead out of the root, or to what is no regular file.  The server is not root here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.harness import (
    RefusedError,
    Server,
    fetch,
    serving,
    store,
)

pytestmark = pytest.mark.real

SECRET = b"not to be served"


def refusal(server: Server, name: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        fetch(server.address, name)
    # SECURITY.md 20: no path of the server in what a peer is told.
    assert server.root.name.encode() not in refused.value.text
    return refused.value


@pytest.fixture(scope="module")
def server(shared_root: Path) -> Iterator[Server]:
    """Serve `inside`, beside which lies what may not be read."""
    outside, inside = shared_root / "outside", shared_root / "inside"
    for folder in (outside, inside, inside / "sub"):
        folder.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (shared_root / "inside-too").mkdir()
    (shared_root / "inside-too" / "secret").write_bytes(SECRET)
    (inside / "file").write_bytes(b"file")
    (inside / "sub" / "deep").write_bytes(b"deep")
    (inside / "link").symlink_to("file")
    (inside / "deep-link").symlink_to("sub/deep")
    (inside / "up-and-down").symlink_to("sub/../file")
    (inside / "folder-link").symlink_to("sub")
    (inside / "chain").symlink_to("link")
    (inside / "loop").symlink_to("loop")
    (inside / "dangling").symlink_to("nowhere")
    (inside / "escape").symlink_to("../outside/secret")
    (inside / "escape-absolute").symlink_to(outside / "secret")
    (inside / "escape-folder").symlink_to("../outside")
    (inside / "escape-proc").symlink_to("/proc/self/environ")
    os.mkfifo(inside / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(inside / "socket"))
    (inside / "unreadable").write_bytes(SECRET)
    (inside / "unreadable").chmod(0)
    (inside / "closed").mkdir(mode=0)
    (inside / "read-only").mkdir()
    (inside / "read-only").chmod(0o555)
    with serving(inside, "--writable", unprivileged=True) as running:
        yield running


@pytest.mark.rule("R13")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"file", b"file"),
        (b"/file", b"file"),
        (b"sub\\deep", b"deep"),
        (b"\\sub\\deep", b"deep"),
        (b"sub//deep", b"deep"),
        (b"./sub/./deep", b"deep"),
        (b"link", b"file"),
        (b"chain", b"file"),
        (b"deep-link", b"deep"),
        (b"up-and-down", b"file"),
        (b"folder-link/deep", b"deep"),
    ],
)
def test_served(server: Server, name: bytes, expected: bytes) -> None:
    assert fetch(server.address, name) == expected


@pytest.mark.rule("R12")
@pytest.mark.parametrize(
    "name",
    [
        b"..",
        b"../outside/secret",
        b"../inside-too/secret",
        b"sub/../../outside/secret",
        b"a/../../../../../../etc/passwd",
        b"..\\outside\\secret",
        b"sub\\..\\..\\outside\\secret",
        b"/../outside/secret",
        b"sub/..",
        b"escape",
        b"escape-absolute",
        b"escape-folder/secret",
        b"escape-proc",
        b"loop",
        b"fifo",
        b"socket",
        b"sub",
        b"sub/",
        b"folder-link",
    ],
)
def test_access_violation(server: Server, name: bytes) -> None:
    assert refusal(server, name).code == 2


@pytest.mark.rule("R12")
@pytest.mark.parametrize(
    "name", [b"missing", b"sub/missing", b"dangling", b"file/x", b"etc/passwd"]
)
def test_file_not_found(server: Server, name: bytes) -> None:
    assert refusal(server, name).code == 1


def test_absolute_names_are_beneath_the_root(server: Server) -> None:
    secret = os.fsencode(server.root.parent / "outside" / "secret")
    assert refusal(server, secret).code == 1
    assert refusal(server, b"/etc/passwd").code == 1


@pytest.mark.rule("R12")
def test_permission_denied(server: Server) -> None:
    assert refusal(server, b"unreadable").code == 2
    assert refusal(server, b"closed/file").code == 2
    with pytest.raises(RefusedError) as refused:
        store(server.address, b"read-only/new", b"x")
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"../up", 2),
        (b"..\\up", 2),
        (b"escape-folder/up", 2),
        (b"sub", 2),
        (b"fifo", 2),
        (b"missing/up", 1),
        (b"\xff\xff", 1),
        (b".snowowl-x", 2),
    ],
)
def test_uploads_stay_beneath_the_root(server: Server, name: bytes, code: int) -> None:
    with pytest.raises(RefusedError) as refused:
        store(server.address, name, b"octets")
    assert refused.value.code == code
    parent = server.root.parent
    assert not (parent / "up").exists()
    assert not (parent / "outside" / "up").exists()


def test_an_upload_replaces_a_link_and_writes_not_through_it(root: Path) -> None:
    (root / "inside").mkdir()
    (root / "secret").write_bytes(SECRET)
    (root / "inside" / "escape").symlink_to("../secret")
    with serving(root / "inside", "--writable", "--overwrite") as server:
        store(server.address, b"escape", b"octets")
    assert (root / "secret").read_bytes() == SECRET
    assert (root / "inside" / "escape").read_bytes() == b"octets"


def test_names_of_any_octets(root: Path) -> None:
    """Uploaded and read back: a name is octets, and the log has it in printable ASCII."""
    names = [
        b"\xe4\xf6\xfc",
        "\N{SNOWMAN}".encode(),
        b"a b",
        b"\x1b[31mred",
        b"line\nbreak",
        b"%n%s",
    ]
    with serving(root, "--writable") as server:
        for name in names:
            store(server.address, name, name)
            assert fetch(server.address, name) == name
        log = server.wait_log("RRQ from", len(names))
    assert {os.fsencode(path.name) for path in root.iterdir()} == set(names)
    assert log.isascii()
    assert all(line[:2] == "20" for line in log.splitlines())
    assert "\x1b" not in log
