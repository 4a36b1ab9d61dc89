"""Metrics by HTTP: what is asked for is told, and nobody who connects can hold up anything."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from snowowl.observe.events import Event, InternalError
from snowowl.server import metrics_http
from snowowl.server.errors import MetricsError
from snowowl.server.metrics_http import CONNECTIONS_MAX, HEAD_MAX, MetricsServer
from snowowl.server.metrics_socket import MetricsSocket, open_metrics_socket

pytestmark = pytest.mark.real


class Stage:
    def __init__(self) -> None:
        self.serving = True
        self.renders = 0
        self.broken = False
        self.told: list[Event] = []
        self.opened = open_metrics_socket("127.0.0.1:0")
        self.server = MetricsServer(self.render, lambda: self.serving, self.told.append)

    def render(self, accept: str) -> tuple[str, bytes]:
        self.renders += 1
        if self.broken:
            raise RuntimeError("disk on fire")
        return "text/x-test", f"{accept} {self.renders}\n".encode()

    async def connect(self) -> trio.SocketStream:
        port = int(self.opened.address.rpartition(":")[2])
        return await trio.open_tcp_stream("127.0.0.1", port)

    async def ask(self, octets: bytes) -> bytes:
        """Return all that comes back until the other side hangs up."""
        stream = await self.connect()
        async with stream:
            await stream.send_all(octets)
            return await everything(stream)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        sock = trio.socket.from_stdlib_socket(self.opened.socket)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.server.run, trio.SocketListener(sock))
                yield nursery
                nursery.cancel_scope.cancel()


async def everything(stream: trio.SocketStream) -> bytes:
    octets = b""
    try:
        while piece := await stream.receive_some(65536):
            octets += piece
    except trio.BrokenResourceError:
        pass
    return octets


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.opened.close()


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


CLOSE = "Connection: close"


async def test_metrics(stage: Stage) -> None:
    async with stage.running():
        head, _, body = (await stage.ask(get("/metrics?x=y", CLOSE))).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-type: text/x-test" in head.lower()
        assert body == b"text/plain; version=0.0.4 1\n"
        accept = "Accept: text/plain;q=0.1, application/openmetrics-text;version=1.0.0"
        answer = await stage.ask(get("/metrics", accept, CLOSE))
        assert answer.endswith(b"\r\n\r\napplication/openmetrics-text; version=1.0.0 2\n")
        answer = await stage.ask(get("/metrics", CLOSE, method="HEAD"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n")
        assert b"content-length: 28" in answer.lower()
    assert stage.told == []


async def test_health(stage: Stage) -> None:
    async with stage.running():
        assert (await stage.ask(get("/healthz", CLOSE))).startswith(b"HTTP/1.1 200 ")
        stage.serving = False
        assert (await stage.ask(get("/healthz", CLOSE))).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (get("/", CLOSE), 404),
        (get("/metrics/", CLOSE), 404),
        (get("/metrics", CLOSE, method="DELETE"), 405),
        (get("/metrics", "Content-Length: 1000000", method="POST"), 405),
        (get("/metrics", "Transfer-Encoding: chunked", method="POST"), 405),
        (get("/metrics", "Content-Length: 1000000"), 200),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # without Host
        (get("/metrics", "Transfer-Encoding: gzip"), 501),
        (get("/" + "x" * 3 * HEAD_MAX), 431),
        (get("/metrics", "X: " + "y" * 3 * HEAD_MAX), 431),
        (b"x" * 3 * HEAD_MAX, 431),
    ],
)
async def test_what_is_not_asked_right(stage: Stage, octets: bytes, status: int) -> None:
    async with stage.running():
        answer = await stage.ask(octets)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert (await stage.ask(get("/healthz", CLOSE))).startswith(b"HTTP/1.1 200 ")
    assert stage.told == []


async def test_several_requests_of_one_connection(stage: Stage) -> None:
    async with stage.running():
        answer = await stage.ask(get("/healthz") * 3 + get("/healthz", CLOSE))
        assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"serving\n") == 4


async def test_the_text_is_made_now_and_then(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage.running():
        await stage.ask(get("/metrics") * 50 + get("/metrics", CLOSE))
        assert stage.renders == 1
        monkeypatch.setattr(metrics_http, "KEEP_SECONDS", 0.0)
        await stage.ask(get("/metrics", CLOSE))
        assert stage.renders == 2


async def test_a_bug_is_told_and_ends_nothing(stage: Stage) -> None:
    stage.broken = True
    async with stage.running():
        assert (await stage.ask(get("/metrics", CLOSE))).startswith(b"HTTP/1.1 500 ")
        (event,) = stage.told
        assert isinstance(event, InternalError)
        assert "disk on fire" in event.traceback
        stage.broken = False
        assert (await stage.ask(get("/metrics", CLOSE))).startswith(b"HTTP/1.1 200 ")


async def test_who_sends_slowly_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "HEAD_SECONDS", 0.1)
    async with stage.running() as nursery:
        stream = await stage.connect()

        async def trickle() -> None:
            try:
                for octet in get("/metrics"):
                    await stream.send_all(bytes([octet]))
                    await trio.sleep(0.03)
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(trickle)
        assert await everything(stream) == b""
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_who_says_nothing_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "IDLE_SECONDS", 0.1)
    async with stage.running():
        assert await stage.ask(b"") == b""
        answer = await stage.ask(get("/healthz"))
        assert answer.count(b"HTTP/1.1 200") == 1


async def test_who_takes_nothing_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_http, "SEND_SECONDS", 0.1)
    big = ("text/plain", b"x" * (32 << 20))
    stage.server = MetricsServer(lambda _: big, lambda: True, stage.told.append)
    async with stage.running():
        stream = await stage.connect()
        await stream.send_all(get("/metrics"))
        await trio.sleep(0.3)
        assert len(await everything(stream)) < len(big[1])
        await stream.aclose()
    assert stage.told == []


async def test_there_is_room_however_many_connections_are_held(stage: Stage) -> None:
    async with stage.running():
        held = [await stage.connect() for _ in range(2 * CONNECTIONS_MAX)]
        answer = await stage.ask(get("/healthz", CLOSE))
        assert answer.startswith(b"HTTP/1.1 200 ")
        for stream in held:
            await stream.aclose()


async def test_the_end_hangs_up(stage: Stage) -> None:
    async with stage.running() as nursery:
        stream = await stage.connect()
        await stream.send_all(get("/healthz"))
        assert b"200" in await stream.receive_some(65536)
        nursery.cancel_scope.cancel()
    assert await everything(stream) == b""
    await stream.aclose()


async def test_without_descriptors_it_waits(autojump_clock: MockClock) -> None:
    failures = 0

    class Listener:
        async def accept(self) -> trio.SocketStream:
            nonlocal failures
            await trio.lowlevel.checkpoint()
            failures += 1
            raise OSError(24, "Too many open files")

    told: list[Event] = []
    with trio.move_on_after(5):
        await MetricsServer(lambda _: ("", b""), lambda: True, told.append).run(Listener())
    assert 40 < failures <= 51


# The socket.


def test_addresses() -> None:
    for listen in ("127.0.0.1:0", "[::1]:0", "*:0"):
        opened = open_metrics_socket(listen)
        port = opened.socket.getsockname()[1]
        assert opened.address == listen.replace(":0", f":{port}")
        with pytest.raises(MetricsError, match=r"metrics\.listen\): Address already in use"):
            open_metrics_socket(opened.address)
        opened.close()
        opened.close()


def closed(path: Path) -> None:
    """Leave a socket behind as a process does that is killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    closed(path)
    assert path.is_socket()
    opened = open_metrics_socket(f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert opened.address == f"unix:{path}"
    with pytest.raises(MetricsError, match="another process listens there"):
        open_metrics_socket(f"unix:{path}")
    opened.close()
    assert not path.exists()
    opened.close()


def test_a_unix_socket_is_for_others_at_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    monkeypatch.setattr(
        os, "chmod", lambda path, _: modes.append(Path(path).stat().st_mode & 0o777)
    )
    umask = os.umask(0)
    try:
        open_metrics_socket(f"unix:{tmp_path}/s").close()
    finally:
        os.umask(umask)
    assert modes == [0o660]


def test_a_socket_that_cannot_be_listened_at_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    with pytest.raises(MetricsError, match="not permitted"):
        open_metrics_socket(f"unix:{tmp_path}/s")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_anothers_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    opened = open_metrics_socket(f"unix:{path}")
    path.rename(tmp_path / "kept")
    closed(path)
    opened.close()
    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "missing"])
def test_where_there_can_be_no_unix_socket(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        path /= "y"
    with pytest.raises(MetricsError, match=r"metrics\.listen"):
        open_metrics_socket(f"unix:{path}")
    if kind == "file":
        assert path.read_text() == "precious"
    assert os.path.lexists(path) == (kind != "missing")


async def test_a_unix_socket_answers(tmp_path: Path, stage: Stage) -> None:
    stage.opened.close()
    opened: MetricsSocket = open_metrics_socket(f"unix:{tmp_path}/s")
    stage.opened = opened
    async with stage.running():
        stream = await trio.open_unix_socket(f"{tmp_path}/s")
        await stream.send_all(get("/metrics", CLOSE))
        assert (await everything(stream)).startswith(b"HTTP/1.1 200 ")
        await stream.aclose()
