"""Point snowowl's Hypothesis strategies at a running TFTP server.

    pip install 'snowowl[fuzz]' pytest
    TFTP_SERVER=192.0.2.1:69 TFTP_FILE=uImage TFTP_EXAMPLES=500 pytest test_my_server.py

Without TFTP_SERVER it is snowowl itself that is tried.  `snowowl fuzz` does more of this; here is
how to put it into a test suite of your own, with rules of your own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from snowowl.testing import strategies as tftp
from snowowl.testing.testserver import ServerFactory
from snowowl.wire.codec import encode
from snowowl.wire.packets import ReadRequest, WriteRequest

Address = tuple[str, int]

FILE = os.environ.get("TFTP_FILE", "uImage").encode()
PATIENCE = 0.02
"""Seconds to wait for an answer in a conversation; a server may well have none."""

a_few = settings(
    max_examples=int(os.environ.get("TFTP_EXAMPLES", "20")),
    deadline=None,
    # A server that has died fails every example: to shrink, it would have to be started anew each
    # time, as `snowowl fuzz` does.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module")
def server(session_snowowl_server_factory: ServerFactory) -> Iterator[Address]:
    """Return where the server is."""
    host, _, port = os.environ.get("TFTP_SERVER", "").rpartition(":")
    if host:
        yield host, int(port)
        return
    ours = session_snowowl_server_factory({"uImage": b"kernel" * 200, "a/b": b""})
    yield ours.host, ours.port


def client() -> socket.socket:
    """Return a socket, which is a TID."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    return sock


def answer(sock: socket.socket, seconds: float) -> tuple[bytes, Address] | None:
    """Return the next datagram and where it came from, None if there is none in time."""
    sock.settimeout(seconds)
    try:
        octets, (host, port) = sock.recvfrom(65536)
    except (TimeoutError, ConnectionRefusedError):
        return None
    return octets, (host, port)


def is_alive(server: Address) -> bool:
    """Say whether a server still answers the plainest request that there is."""
    with client() as sock:
        for seconds in (0.25, 0.5, 1, 2):
            sock.sendto(encode(ReadRequest(FILE)), server)
            heard = answer(sock, seconds)
            if heard is not None:
                sock.sendto(b"\0\5\0\0enough\0", heard[1])
                return heard[0].startswith((b"\0\3\0\1", b"\0\5"))
    return False


@a_few
@given(tftp.conversations(filenames=tftp.names(present=[FILE])))
def test_no_conversation_ends_the_server(server: Address, conversation: tftp.Conversation) -> None:
    """Whatever clients send, in whatever order, the next one is served."""
    socks = [client() for _ in range(tftp.SENDERS)]
    transfer = server
    try:
        for step in conversation:
            target = server if step.target == "listening" else transfer
            socks[step.sender].sendto(step.octets[:65507], target)  # the most that IPv4 carries
            heard = answer(socks[0], PATIENCE) if step.waits else None
            transfer = transfer if heard is None else heard[1]
        socks[0].sendto(b"\0\5\0\0enough\0", transfer)
    finally:
        for sock in socks:
            sock.close()
    assert is_alive(server)


@a_few
@given(tftp.well_formed_requests(filenames=tftp.traversals(targets=(b"etc/passwd",))))
def test_no_name_leads_out_of_the_root(
    server: Address, request: ReadRequest | WriteRequest
) -> None:
    """No file comes back that is not beneath the root: every name here leads elsewhere."""
    with client() as sock:
        sock.sendto(encode(ReadRequest(request.filename)), server)
        heard = answer(sock, 0.5)
    if heard is None:
        assert is_alive(server)
        return
    assert heard[0][:2] != b"\0\3", f"a file that nobody put there: {heard[0][:40]!r}"
