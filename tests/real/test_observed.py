"""Metrics and the audit stream of real processes: they add up, whoever dies, and logs may be rotated."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.real.harness import RefusedError, eventually, fetch, run, serving
from tests.real.test_workers import STARTS_SECONDS, pids

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux"),
]


def told_at(folder: Path, sock: Path) -> str:
    """Return the keys for both."""
    return f'audit.file = "{folder}/audit"\nmetrics.listen = "unix:{sock}"\n'


class Unix(HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.host)


def ask(path: Path, target: str) -> tuple[int, str]:
    connection = Unix(str(path))
    connection.request("GET", target, headers={"Host": "x"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def metric(path: Path, name: str) -> float:
    status, text = ask(path, "/metrics")
    assert status == 200
    (line,) = (line for line in text.splitlines() if line.startswith(f"snowowl_{name} "))
    return float(line.split()[-1])


def audit(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


READ = 'transfers_total{direction="read",outcome="completed"}'


def test_workers_are_summed_and_a_killed_one_takes_nothing_back(tmp_path: Path) -> None:
    root, sock = tmp_path / "root", tmp_path / "metrics.sock"
    root.mkdir()
    (root / "file").write_bytes(b"x" * 700)
    with serving(root, "--workers", "2", config=told_at(tmp_path, sock)) as server:
        for _ in range(8):
            fetch(server.address, b"file")
        with pytest.raises(RefusedError):
            fetch(server.address, b"../passwd")
        assert eventually(lambda: metric(sock, READ) == 8, STARTS_SECONDS)
        assert metric(sock, "workers") == 2
        assert metric(sock, "traversal_attempts_total") == 1
        os.kill(pids(server)[1], signal.SIGKILL)
        assert eventually(lambda: metric(sock, "workers_replaced_total") == 1, STARTS_SECONDS)
        assert metric(sock, READ) == 8
        (tmp_path / "audit").rename(tmp_path / "audit.1")
        server.process.send_signal(signal.SIGHUP)
        assert eventually((tmp_path / "audit").exists, STARTS_SECONDS)
        assert eventually(lambda: metric(sock, 'reloads_total{result="ok"}') == 1, STARTS_SECONDS)
        fetch(server.address, b"file")
        assert eventually(lambda: metric(sock, READ) == 9, STARTS_SECONDS)
        assert ask(sock, "/healthz") == (200, "serving\n")
        server.terminate()
        assert server.wait() == 0
    assert not sock.exists()
    before, after = audit(tmp_path / "audit.1"), audit(tmp_path / "audit")
    told = [str(line["event"]) for line in before]
    assert told.count("transfer-started") == told.count("transfer-completed") == 8
    assert told.count("traversal-attempt") == told.count("denied") == 1
    assert {"server-started", "worker-started", "worker-ended"} <= set(told)
    told = [str(line["event"]) for line in after]
    assert told.count("transfer-started") == told.count("transfer-completed") == 1
    assert {"server-reloaded", "server-draining", "server-stopped"} <= set(told)


@pytest.mark.parametrize("key", ["audit.file", "metrics.listen"])
def test_what_cannot_be_told_is_not_left_out_silently(tmp_path: Path, key: str) -> None:
    missing = tmp_path / "missing"
    value = f"{missing}/x" if key == "audit.file" else f"unix:{missing}/x"
    (tmp_path / "c.toml").write_text(f'server.listen = ["127.0.0.1:0"]\n{key} = "{value}"\n')
    command = [sys.executable, "-m", "snowowl", "serve", "-c", str(tmp_path / "c.toml")]
    ended = run(command)
    assert ended.returncode == 1
    assert key in ended.stderr.decode()
    assert "No such file or directory" in ended.stderr.decode()
