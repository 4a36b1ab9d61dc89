"""Captures: what passes the relay is what is written, as seeds that hold."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import pytest

from fuzz import capture, corpus
from fuzz.targets import TARGETS

RRQ = b"\0\1f\0octet\0"
DATA = b"\0\3\0\1" + b"x" * 300
ACK = b"\0\4\0\1"

CLIENT = f"""
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto({RRQ!r}, ("{{host}}", {{port}}))
data, tid = sock.recvfrom(600)
assert tid[1] != {{port}}
sock.sendto({ACK!r}, tid)
"""


def test_the_relay_hears_both_sides_and_has_a_tid() -> None:
    heard: list[bytes] = []

    def serve() -> None:
        asked, client = server.recvfrom(600)
        tid.sendto(DATA, client)
        heard.extend((asked, tid.recvfrom(600)[0]))

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tid,
    ):
        for sock in (server, tid):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        address = ("127.0.0.1", int(server.getsockname()[1]))
        said = capture.record([sys.executable, "-S", "-c", CLIENT], address)
        thread.join()
    assert heard == [RRQ, ACK]
    assert said == [(True, RRQ), (False, DATA), (True, ACK)]


def test_what_is_written_are_seeds_that_hold(tmp_path: Path) -> None:
    seeds = capture.seeds_of([(True, RRQ), (False, DATA), (True, ACK)], 300)
    capture.write(tmp_path, "name", "a client", seeds)
    assert set(seeds) == {"decode", "read_machine", "server", "client"}
    for target, written in seeds.items():
        path = tmp_path / target / "name.txt"
        assert path.read_text().startswith("# a client\n")
        assert corpus.read(path, target) == written
        for seed in written:
            TARGETS[target].run(seed)


def test_who_asks_for_nothing_is_no_client() -> None:
    with pytest.raises(SystemExit):
        capture.seeds_of([(True, ACK)], 0)
