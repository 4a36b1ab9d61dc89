"""SIGKILL in the middle of uploads: what was acknowledged is there, whole, and nothing else is."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.real.harness import names_in, serving, store

pytestmark = pytest.mark.real

UPLOADS = 100
BLOCKS = 40


def octets_of(number: int) -> bytes:
    """Return what upload `number` holds: no octet of it could be of another one."""
    return number.to_bytes(2, "big") * (256 * BLOCKS) + b"end"


@pytest.mark.parametrize("after_seconds", [0.05, 0.15])
def test_sigkill_during_a_hundred_uploads(tmp_path: Path, after_seconds: float) -> None:
    acknowledged: list[int] = []

    def upload(number: int) -> None:
        try:
            store(server.address, b"up-%d" % number, octets_of(number))
        except (AssertionError, OSError):  # the server is gone
            return
        acknowledged.append(number)

    with serving(tmp_path, "--writable") as server:
        threads = [threading.Thread(target=upload, args=(number,)) for number in range(UPLOADS)]
        for thread in threads:
            thread.start()
        time.sleep(after_seconds)
        server.ended = True
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        for thread in threads:
            thread.join()
    stored = {int(name.removeprefix("up-")) for name in names_in(tmp_path)}  # no temporary names
    assert set(acknowledged) <= stored
    assert {
        number for number in stored if (tmp_path / f"up-{number}").read_bytes() != octets_of(number)
    } == set()
    with serving(tmp_path, "--writable") as server:
        left = next(number for number in range(UPLOADS + 1) if number not in stored)
        store(server.address, b"up-%d" % left, octets_of(left))
