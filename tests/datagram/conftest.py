"""An endpoint over a kernel that is made of Python."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from snowowl.datagram.batch import BatchEndpoint
from snowowl.datagram.limits import Limits
from tests.datagram.batching import MESSAGES, SLOTS
from tests.datagram.kernel import Kernel


@pytest.fixture(scope="module")
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def endpoint(sock: socket.socket, kernel: Kernel, told: list[str]) -> BatchEndpoint:
    limits = Limits(stride_max=32767, lowered=told.append)
    return BatchEndpoint(sock, kernel.calls(), SLOTS, MESSAGES[32], limits)
