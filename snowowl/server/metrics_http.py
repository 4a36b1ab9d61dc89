"""Tells the metrics by HTTP: `GET /metrics` for Prometheus, `GET /healthz` for who restarts servers.

Whoever can connect may be careless or worse: what is read is bounded in size, in time and in number
of connections, and the text is made a few times a second at most.  Whatever goes wrong here is told
and ends one connection: files are served on.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Protocol

import attrs
import h11
import trio

from snowowl.observe.events import InternalError
from snowowl.observe.observers import Observer

CONNECTIONS_MAX: Final = 32
"""At once; one more, and the oldest gives way: a scrape takes milliseconds."""

HEAD_MAX: Final = 8192
"""Octets of a request line and its headers."""

IDLE_SECONDS: Final = 90.0
"""Before the next request of a connection begins: Prometheus asks every minute by default."""

HEAD_SECONDS: Final = 5.0
"""From the first octet of a request to the end of its headers."""

SEND_SECONDS: Final = 10.0
"""For the other side to take an answer."""

LINGER_SECONDS: Final = 1.0
"""After the last answer, for what the other side still sends: a reset could overtake the answer."""

KEEP_SECONDS: Final = 0.25
"""The same text is given for that long: making one takes milliseconds of the event loop."""

ERROR_PAUSE_SECONDS: Final = 0.1
"""After `accept` has failed, as it does without free descriptors: do not spin on it."""

Render = Callable[[str], tuple[str, bytes]]
"""Returns content type and text for an Accept header."""

_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
_TEXT: Final = "text/plain; version=0.0.4"
_PLAIN: Final = "text/plain; charset=utf-8"


@attrs.frozen
class _Answer:
    status: HTTPStatus
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Listener(Protocol):
    """Where connections come from."""

    async def accept(self) -> trio.SocketStream:
        """Wait for the next one.  Raises OSError."""


class MetricsServer:
    """Answers at one listening socket, which stays the caller's."""

    def __init__(self, render: Render, is_serving: Callable[[], bool], tell: Observer) -> None:
        self._render = render
        self._is_serving = is_serving
        self._tell = tell
        self._connections: dict[trio.CancelScope, None] = {}
        self._kept: dict[str, tuple[float, tuple[str, bytes]]] = {}

    async def run(self, listener: Listener) -> None:
        """Answer until cancelled.  Raises nothing but Cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:
                    await trio.sleep(ERROR_PAUSE_SECONDS)
                    continue
                if len(self._connections) >= CONNECTIONS_MAX:
                    next(iter(self._connections)).cancel()
                scope = trio.CancelScope()
                self._connections[scope] = None
                nursery.start_soon(self._attend, stream, scope)

    async def _attend(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        """Answer one connection; nothing that it does harms anything else."""
        try:
            with scope:
                async with stream:
                    await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has gone
        except Exception:  # noqa: BLE001 - files must be served on
            self._tell(InternalError("metrics", traceback.format_exc()))
        finally:
            del self._connections[scope]

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        while True:
            try:
                request = await _request(connection, stream)
                if request is None:
                    return
                answer = self._answer(request)
                # What has a body is answered, but its body is not waited for.
                keep = connection.next_event().__class__ is h11.EndOfMessage
            except h11.RemoteProtocolError as error:
                if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                    return
                status = HTTPStatus(error.error_status_hint)
                request, keep, answer = None, False, _words(status, status.phrase)
            with trio.move_on_after(SEND_SECONDS) as sending:
                await _send(connection, stream, request, answer, keep=keep)
            if sending.cancelled_caught:
                return
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                await _linger(stream)
                return
            connection.start_next_cycle()

    def _answer(self, request: h11.Request) -> _Answer:
        path = request.target.partition(b"?")[0]
        if path not in (b"/metrics", b"/healthz"):
            return _words(HTTPStatus.NOT_FOUND, "here are /metrics and /healthz")
        if request.method not in (b"GET", b"HEAD"):
            refusal = _words(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD")
            return attrs.evolve(refusal, headers=(("Allow", "GET, HEAD"),))
        if path == b"/healthz":
            if self._is_serving():
                return _words(HTTPStatus.OK, "serving")
            return _words(HTTPStatus.SERVICE_UNAVAILABLE, "draining")
        try:
            return _Answer(HTTPStatus.OK, *self._text(_header(request, b"accept")))
        except Exception:  # noqa: BLE001 - it is told; who asked should know that it is not his fault
            self._tell(InternalError("metrics", traceback.format_exc()))
            return _words(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log")

    def _text(self, accept: str) -> tuple[str, bytes]:
        """Return what is told now, in one of two forms, whatever else is asked for."""
        form = _OPENMETRICS if _OPENMETRICS.partition(";")[0] in accept else _TEXT
        now = trio.current_time()
        since, text = self._kept.get(form, (-math.inf, ("", b"")))
        if now - since >= KEEP_SECONDS:
            text = self._render(form)
            self._kept[form] = (now, text)
        return text


def _words(status: HTTPStatus, text: str) -> _Answer:
    return _Answer(status, _PLAIN, f"{text}\n".encode())


def _header(request: h11.Request, name: bytes) -> str:
    values = [value.decode("latin-1") for key, value in request.headers if key == name]
    return ",".join(values)


async def _request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """Return the next request; None if none comes in time, or ever.  Raises RemoteProtocolError."""
    with trio.move_on_after(IDLE_SECONDS) as scope:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None  # ConnectionClosed
            octets = await stream.receive_some(HEAD_MAX)
            if octets:
                scope.deadline = min(scope.deadline, trio.current_time() + HEAD_SECONDS)
            connection.receive_data(octets)
    return None


async def _send(
    connection: h11.Connection,
    stream: trio.SocketStream,
    request: h11.Request | None,
    answer: _Answer,
    *,
    keep: bool,
) -> None:
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *answer.headers,
    ]
    if not keep:
        headers.append(("Connection", "close"))
    response = h11.Response(
        status_code=answer.status, headers=headers, reason=answer.status.phrase.encode()
    )
    octets = connection.send(response) or b""
    if request is None or request.method != b"HEAD":
        octets += connection.send(h11.Data(data=answer.body)) or b""
    octets += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(octets)


async def _linger(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError), trio.move_on_after(LINGER_SECONDS):
        await stream.send_eof()
        while await stream.receive_some(HEAD_MAX):
            pass
