"""`snowowl doctor`: what it reads, how it ends, and that it ends soon."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from snowowl.cli import main
from snowowl.cli.doctor_checks import catalog
from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, ok
from snowowl.config import VARIABLES, Config
from tests.cli.program import run

pytestmark = pytest.mark.real


def test_a_place_to_serve_from(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    started = time.monotonic()
    done = run("doctor", "--json", "--listen", "127.0.0.1:0", tmp_path)
    assert time.monotonic() - started < 10
    document = json.loads(done.stdout)
    levels = {finding["level"] for finding in document["findings"]}
    assert document["ok"] == ("FAIL" not in levels)
    assert done.returncode == (0 if document["ok"] else 1)
    topics = [finding["topic"] for finding in document["findings"]]
    assert topics[:3] == ["software", "configuration", "ports"]
    assert set(topics) >= {"root", "uploads", "datapath", "nat", "replies"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_root_that_is_missing_fails(tmp_path: Path) -> None:
    done = run("doctor", "--listen", "127.0.0.1:0", tmp_path / "missing")
    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("FAIL root")]
    assert f"mkdir -p {tmp_path}/missing" in line
    assert lines[-1].startswith("1 thing to be mended, ")
    assert done.stderr == b""


def test_the_file_is_read_as_serve_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "snowowl.toml"
    file.write_text('[server]\nlisten = ["127.0.0.1:0"]\ntid = "shard"\n')
    done = run("doctor", "--config", file)
    assert (done.returncode, done.stdout) == (78, b"")
    assert b'did you mean "shared"?' in done.stderr
    done = run("doctor", "--json", "--config", file)
    assert done.returncode == 78
    assert json.loads(done.stdout)["problems"][0]["key"] == "server.tid"
    assert run("doctor", "--nonsense").returncode == 2
    file.write_text('[server]\nlisten = ["127.0.0.1:0"]\n[write]\nquota = 5\n')
    done = run("doctor", "--config", file, "--single-port")
    assert b"WARN configuration: write.quota: has no effect" in done.stdout
    assert b"OK   replies: 127.0.0.1: every tid mode answers, listen in" in done.stdout


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SNOWOWL_CONFIG", *(variable.name for variable in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
def test_every_flag_is_that_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []

    def examine(subject: Subject) -> list[Finding]:
        seen.append(subject.config)
        return [fail("x", "no", "do")] if subject.config.write.enabled else [ok("x", "well")]

    monkeypatch.setattr(catalog, "examine", examine)
    flags = ["-a", "127.0.0.1:6969", "--single-port", "-R", "5000:5009", str(tmp_path)]
    for words, status in ((flags, 0), ([*flags, "--writable"], 1), ([*flags, "--json"], 0)):
        assert CliRunner().invoke(main, ["doctor", *words]).exit_code == status
    server = seen[0].server
    assert (server.listen, server.tid) == (("127.0.0.1:6969",), "listen")
    assert (server.port_range, server.root) == ((5000, 5009), tmp_path)
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 0
    assert seen[-1] == Config()
    for words in (["-R", "x"], ["-R", "x", "--json"]):
        assert CliRunner().invoke(main, ["doctor", *words]).exit_code == 78
