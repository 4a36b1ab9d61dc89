"""The self-test: real servers and real fetches, and what is made of their answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

import snowowl
from snowowl.cli.doctor_checks import replies as module
from snowowl.cli.doctor_checks.finding import Finding, Level
from snowowl.cli.doctor_checks.machine import Machine
from snowowl.cli.doctor_checks.replies import TIDS, Reply, replies
from snowowl.client.probe import Probe
from snowowl.config import Config
from tests.cli.doctor_checks.machines import subject

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux"),
]
HOST = "127.0.0.1"


def ask(**keys: object) -> list[Finding]:
    return list(replies(subject(Machine(), server__listen=[f"{HOST}:69"], **keys)))


def test_every_mode_answers_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (finding,) = ask()
    assert finding.level is Level.OK, finding
    assert finding.message.startswith("127.0.0.1: every tid mode answers, shared in ")
    assert list(tmp_path.iterdir()) == []


def test_a_mode_whose_answers_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def fetch(host: str, port: int, tid: module.Tid) -> Reply:
        assert port
        asked.append(tid)
        return Reply(host, tid, "" if tid == "listen" else "lost")

    monkeypatch.setattr(module, "_fetch_both", fetch)
    (finding,) = ask()
    assert finding.level is Level.FAIL
    assert "--single-port" in finding.advice
    assert set(asked) == set(TIDS)
    (finding,) = ask(server__tid="listen")
    assert finding.level is Level.NOTE


def test_no_answer_at_all_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object, **__: object) -> None:
        import trio

        await trio.sleep_forever()

    monkeypatch.setattr(module, "fetch", silent)
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.05)
    (finding,) = ask()
    assert finding.level is Level.WARN
    monkeypatch.setattr(module, "FETCH_SECONDS", 60.0)
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.1)
    (finding,) = ask()
    assert "no answer" in finding.message


def test_an_address_that_cannot_be_served() -> None:
    first, _ = replies(subject(Machine(), server__listen=["203.0.113.77:69"]))
    assert first.level is Level.NOTE
    assert "is not tested" in first.message


def test_no_place_for_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    (finding,) = ask()
    assert finding.level is Level.NOTE


def test_the_tested_server_has_the_ports_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Config] = []
    original = snowowl.serve

    async def serve(config: Config, **keys: object) -> None:
        seen.append(config)
        await original(config, **keys)  # type: ignore[arg-type]

    async def fetch(_: object, probe: Probe, **__: object) -> None:
        probe.seconds = 0.001

    monkeypatch.setattr(module, "serve", serve)
    monkeypatch.setattr(module, "fetch", fetch)
    ask(server__port_range=[50_000, 50_009], protocol__windowsize_max=4, write__enabled=True)
    assert {config.server.port_range for config in seen} == {(50_000, 50_009)}
    assert {config.protocol.windowsize_max for config in seen} == {4}
    assert not any(config.write.enabled for config in seen)
    assert {config.server.listen for config in seen} == {(f"{HOST}:0",)}


NAMESPACE = "snowowl-doctor"


@pytest.mark.skipif(
    os.name != "posix"
    or os.geteuid() != 0
    or shutil.which("ip") is None
    or shutil.which("nft") is None,
    reason="needs root, ip and nft",
)
def test_a_firewall_that_drops_answers_from_other_ports(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)

    inside = ("ip", "netns", "exec", NAMESPACE)
    with ExitStack() as stack:
        if run("ip", "netns", "add", NAMESPACE).returncode:
            pytest.skip("no network namespace can be made")
        stack.callback(run, "ip", "netns", "del", NAMESPACE)
        run(*inside, "ip", "link", "set", "lo", "up")
        for rule in (
            "add table inet f",
            "add chain inet f i { type filter hook input priority 0; }",
            "add rule inet f i udp sport 50000-50020 drop",
        ):
            if run(*inside, "nft", rule).returncode:
                pytest.skip("the kernel has no nf_tables")
        words = ("doctor", "-R", "50000:50020", "-a", "127.0.0.1:69", str(tmp_path))
        done = run(*inside, sys.executable, "-m", "snowowl", *words)
    assert done.returncode == 1, done.stdout
    assert "FAIL replies: 127.0.0.1: answers from other ports do not come back" in done.stdout
    assert "--single-port" in done.stdout
