"""SIGHUP to a server of one process: who is served how, what is logged, what it survives.

What workers do is in `test_workers`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.real.harness import (
    Peer,
    Server,
    ack,
    data,
    eventually,
    fetch,
    option_ack,
    read_on,
    rrq,
    serving,
    store,
    wrq,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP"),
]

CONTENT = os.urandom(5000)
CONFIG = "[protocol]\nblksize_max = 600\n"
RELOADED = "reloaded: new requests are served as now configured"
MODES = pytest.mark.parametrize("tid", ["shared", "own", "listen"])


def reload(server: Server, text: str) -> None:
    """Change the configuration file and send SIGHUP."""
    (server.log_file.parent / "snowowl.toml").write_text(text)
    server.process.send_signal(signal.SIGHUP)


@MODES
def test_what_runs_ends_as_it_began_and_what_is_new_is_served_as_configured_now(
    root: Path, tid: str
) -> None:
    (root / "file").write_bytes(CONTENT)
    config = f'[server]\ntid = "{tid}"\n[write]\nenabled = true\n'
    with serving(root, config=config + CONFIG) as server, Peer() as reader, Peer() as writer:
        packet, source = reader.ask(rrq(b"file", ("blksize", 1400)), server.address)
        assert option_ack(packet) == {b"blksize": b"600"}
        _, written_to = writer.ask(wrq(b"up"), server.address)
        reload(server, f'[server]\ntid = "{tid}"\n[protocol]\nblksize_max = 700\n')
        log = server.wait_log(RELOADED)
        assert "protocol.blksize_max: 700, was 600" in log
        assert "write.enabled: false, was true" in log
        packet, source = reader.ask(ack(0), source)
        assert read_on(reader, packet, source, 600) == CONTENT
        assert writer.ask(data(1, b"octets"), written_to)[0] == ack(1)
        with Peer() as new:
            packet, _ = new.ask(rrq(b"file", ("blksize", 1400)), server.address)
            assert option_ack(packet) == {b"blksize": b"700"}
    assert (root / "up").read_bytes() == b"octets"


def test_a_file_with_mistakes_changes_nothing(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root, config=CONFIG) as server:
        reload(server, "[server]\nlistn = []\n[protocol]\nblksize_max = 5\n[log]\nlevel = 'error'")
        log = server.wait_log("not reloaded", 2)
        assert "snowowl.toml:2: server.listn: unknown key" in log
        assert "snowowl.toml:4: protocol.blksize_max" in log
        (server.log_file.parent / "snowowl.toml").unlink()
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("snowowl.toml: ", 1)
        assert fetch(server.address, b"file") == CONTENT
        server.wait_log("completed")  # as before, not errors only
        reload(server, CONFIG)
        server.wait_log("reloaded: the configuration has not changed")


def test_the_log_follows_and_what_has_no_effect_is_told(root: Path) -> None:
    with serving(root, config=CONFIG) as server:
        assert "has no effect" not in server.log()
        text = (
            '[server]\nlisten = ["127.0.0.1:1"]\nworkers = 3\n[write]\noverwrite = true\n'
            '[log]\nformat = "json"\n'
        )
        reload(server, text)
        server.wait_log("write.overwrite: has no effect")
        lines = [json.loads(line) for line in server.log().splitlines() if line[0] == "{"]
        assert lines[0]["event"].startswith("reloaded, all but server.workers:")
        assert lines[0]["level"] == "warning"
        assert 'log.format: "json", was "console"' in lines[0]["changed"]


def test_a_root_that_has_gone(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    link = root.parent / f"{root.name}-link"
    link.symlink_to(root)
    try:
        with serving(link, config="[server]\nlandlock = false\n") as server:
            link.unlink()
            server.process.send_signal(signal.SIGHUP)
            log = server.wait_log("not reloaded")
            assert "no such directory; create it, or name another one; the server goes on" in log
            assert fetch(server.address, b"file") == CONTENT
            (root / "below").mkdir()
            (root / "below" / "file").write_bytes(b"another")
            link.symlink_to(root / "below")
            server.process.send_signal(signal.SIGHUP)
            server.wait_log("reloaded: the configuration has not changed")
            assert fetch(server.address, b"file") == b"another"
    finally:
        link.unlink(missing_ok=True)


def test_a_folder_that_a_confined_server_may_not_enter(root: Path) -> None:
    """At the path of the one that it serves: told, and the old one goes on being served."""
    (root / "file").write_bytes(CONTENT)
    aside = root.with_name(f"{root.name}-aside")
    with serving(root, config="[log]\nlevel = 'debug'\n") as server:
        if "confined by Landlock" not in server.log():
            pytest.skip("there is no Landlock here")
        root.rename(aside)
        root.mkdir(0o755)
        try:
            (root / "file").write_bytes(b"another")
            server.process.send_signal(signal.SIGHUP)
            assert "restart the server" in server.wait_log("not reloaded: server.root: ")
            assert fetch(server.address, b"file") == CONTENT
        finally:
            shutil.rmtree(aside)


def test_while_it_drains_it_is_no_end(root: Path) -> None:
    (root / "file").write_bytes(CONTENT)
    with serving(root) as server, Peer() as reader:
        packet, source = reader.ask(rrq(b"file"), server.address)
        server.terminate()
        server.wait_log("draining")
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
        server.wait_log("not reloaded: the server is shutting down")
        assert read_on(reader, packet, source) == CONTENT
        assert server.wait() == 0


def test_reloads_and_the_end_all_at_once(root: Path) -> None:
    with serving(root) as server:
        for _ in range(20):
            server.process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
        server.process.send_signal(signal.SIGHUP)
        server.terminate()
        server.process.send_signal(signal.SIGHUP)
        assert server.wait() == 0
        assert "Traceback" not in server.log()


def test_many_reloads_keep_nothing(root: Path) -> None:
    """Under way: an upload and a download that began before the first."""
    (root / "file").write_bytes(bytes(200_000))
    with serving(root, "--writable") as server, Peer() as reader:
        packet, source = reader.ask(rrq(b"file"), server.address)
        fetch(server.address, b"file")
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("reloaded")
        before = server.descriptors()
        for count in range(2, 40):
            server.process.send_signal(signal.SIGHUP)
            server.wait_log("reloaded", count)
        assert server.descriptors() <= before
        assert read_on(reader, packet, source) == bytes(200_000)
        store(server.address, b"up", b"octets")
        assert eventually(lambda: server.descriptors() <= before)
