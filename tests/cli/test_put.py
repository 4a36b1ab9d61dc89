"""What `snowowl put` says and returns when the last acknowledgement does not come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snowowl.cli.put import EXIT_UNCONFIRMED
from tests.cli.program import SECONDS, answering, run

pytestmark = pytest.mark.real

ACK_0 = b"\0\4\0\0"


@contextmanager
def closing() -> Iterator[int]:
    """Give a port that asks for the first block, and is closed as soon as that has come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(SECONDS)

        def serve() -> None:
            peer = sock.recvfrom(65536)[1]
            sock.sendto(ACK_0, peer)
            sock.recvfrom(65536)
            sock.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()[1]
        thread.join()


def test_a_port_that_closes_without_the_last_ack_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"all of it")
    with closing() as port:
        done = run("put", "--no-options", tmp_path / "up", f"tftp://127.0.0.1:{port}/up")
    assert done.returncode == EXIT_UNCONFIRMED == 28
    (line,) = done.stderr.decode().splitlines()
    assert "may or may not have the file" in line


def test_a_silent_server_is_no_success_either_and_quiet_hides_no_failure(tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"all of it")
    with answering(ACK_0) as port:
        url = f"tftp://127.0.0.1:{port}/up"
        words = ("-q", "-t", "1", "--retries", "0", "--no-options")
        done = run("put", *words, tmp_path / "up", url)
    assert done.returncode == EXIT_UNCONFIRMED
    assert b"the last acknowledgement did not come" in done.stderr
