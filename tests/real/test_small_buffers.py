"""Clients whose receive buffer holds a block or two, on a link that loses every twentieth packet."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.harness import Server, serving

pytestmark = pytest.mark.real

SWARM = Path(__file__).with_name("swarm.py")
RECEIVE_BUFFER = 4096
LOSS = 0.05


def swarm(server: Server, folder: Path, *, clients: int, blksize: int, windowsize: int) -> int:
    """Return how many of the clients, all at once, have got the file whole."""
    host, port = server.address
    numbers = [str(number) for number in (port, clients, clients, blksize)]
    link = [f"windowsize={windowsize}", f"receive_buffer={RECEIVE_BUFFER}", f"loss={LOSS}"]
    command = [sys.executable, str(SWARM), "get", host, *numbers, str(folder), "kernel", *link]
    result = subprocess.run(command, stdout=subprocess.PIPE, timeout=280, check=True)
    return int(result.stdout)


@pytest.mark.parametrize(("blksize", "windowsize"), [(512, 1), (1428, 16), (1428, 64), (8192, 64)])
def test_twenty_clients_with_small_buffers(root: Path, blksize: int, windowsize: int) -> None:
    size = 60_000 if windowsize == 1 else 300_000
    (root / "kernel").write_bytes(os.urandom(size))
    with serving(root, "--quiet") as server:
        began = time.monotonic()
        assert swarm(server, root, clients=20, blksize=blksize, windowsize=windowsize) == 20
        # What a lost request or OACK costs, some seconds, is in it.
        assert time.monotonic() - began < 20.0


@pytest.mark.slow
@pytest.mark.parametrize("windowsize", [1, 16, 64])
def test_a_thousand_clients_with_small_buffers(root: Path, windowsize: int) -> None:
    (root / "kernel").write_bytes(os.urandom(500_000))
    with serving(root, "--quiet") as server:
        assert swarm(server, root, clients=1000, blksize=1428, windowsize=windowsize) == 1000
