"""`snowowl serve`: what wins, what is logged, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snowowl.cli import serve as module
from snowowl.cli import serve_program
from snowowl.config import VARIABLES, Config
from snowowl.server.errors import RootError
from tests.cli.program import SECONDS, run, serving

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _unchanged_signals() -> Iterator[None]:
    """A server that is run here ignores SIGHUP from then on."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Take the configuration of a server that is not started."""
    seen: list[Config] = []
    for name in ("SNOWOWL_CONFIG", *(variable.name for variable in VARIABLES)):
        monkeypatch.delenv(name, raising=False)

    def start(config: Config, configure: Callable[[], Config], file: Path | None) -> int:
        assert configure() == config
        assert file is None or file.exists()
        seen.append(config)
        return 0

    monkeypatch.setattr(serve_program, "run", start)
    return seen


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        module.serve.main([str(argument) for argument in arguments], prog_name="snowowl serve")
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_defaults(configured: list[Config]) -> None:
    assert call() == 0
    assert configured == [Config()]


def test_every_flag(configured: list[Config], tmp_path: Path) -> None:
    addresses = ("-a", "127.0.0.1:6969", "--listen", "[::1]:0")
    flags = (*addresses, "--writable", "--overwrite", "-u", "tftp", "--group", "65534")
    assert (
        call(*flags, "--single-port", "-R", "5000:5009", "--log-format", "json", "-v", tmp_path)
        == 0
    )
    (config,) = configured
    assert (config.server.user, config.server.group) == ("tftp", "65534")
    assert config.server.root == tmp_path
    assert config.server.listen == ("127.0.0.1:6969", "[::1]:0")
    assert (config.server.tid, config.server.port_range) == ("listen", (5000, 5009))
    assert (config.write.enabled, config.write.overwrite) == (True, True)
    assert (config.log.format, config.log.level) == ("json", "debug")


@pytest.mark.parametrize(("word", "workers"), [("3", 3), ("auto", "auto")])
def test_workers(word: str, workers: int | str, configured: list[Config]) -> None:
    assert call("--workers", word) == 0
    assert configured[0].server.workers == workers


def test_flags_beat_the_environment_beats_the_file(
    configured: list[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "snowowl.toml"
    file.write_text(
        '[server]\nroot = "file"\ntid = "own"\n[write]\nenabled = true\n[log]\nformat = "logfmt"\n'
    )
    monkeypatch.setenv("SNOWOWL_ROOT", "/environment")
    monkeypatch.setenv("SNOWOWL_LOG_FORMAT", "json")
    monkeypatch.setenv("SNOWOWL_WRITABLE", "yes")
    assert call("--config", file, "--log-format", "console", "--read-only") == 0
    assert call("--config", file, "/flag") == 0
    first, second = configured
    assert (str(first.server.root), first.server.tid) == ("/environment", "own")
    assert (first.log.format, first.write.enabled) == ("console", False)
    assert (str(second.server.root), second.log.format) == ("/flag", "json")
    monkeypatch.setenv("SNOWOWL_CONFIG", str(file))
    assert call() == 0
    assert configured[-1].server.tid == "own"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-v", "-q"], 2, "exclude each other"),
        (["--listen", "nonsense"], 78, "--listen"),
        (["-R", "9:1"], 78, "--port-range"),
        (["-R", "x"], 78, "FIRST:LAST"),
        (["--workers", "many"], 78, "--workers"),
        (["--workers", "2", "--single-port"], 78, "must be 1 while tid is"),
        (["--config", "/no/such/file"], 78, "/no/such/file"),
    ],
)
def test_what_is_wrong(
    arguments: list[str],
    code: int,
    words: str,
    configured: list[Config],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(*arguments) == code
    assert words in capsys.readouterr().err
    assert configured == []


def test_a_bad_variable_is_named(
    configured: list[Config], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNOWOWL_TID", "shard")
    assert call() == 78
    assert "SNOWOWL_TID" in capsys.readouterr().err


def test_quiet_is_ready_all_the_same_and_term_drains(tmp_path: Path) -> None:
    with serving("-q", tmp_path) as server:
        assert json.loads(server.ready)["root"] == str(tmp_path)
        assert server.stop() == 0
    assert server.rest == ""


def test_every_line_is_json(tmp_path: Path) -> None:
    with serving("-v", tmp_path, SNOWOWL_OVERWRITE="yes") as server:  # has no effect: a warning
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SECONDS)
            sock.sendto(b"\0\1no\x1b[31m\nsuch\0octet\0", ("127.0.0.1", server.port))
            assert sock.recv(100)[:4] == b"\0\5\0\1"
        assert server.stop(signal.SIGINT) == 130
    entries = [json.loads(line) for line in (server.ready + server.rest).splitlines()]
    assert {"warning", "info", "debug"} == {entry["level"] for entry in entries}
    assert entries[-1]["event"] == "stopped"
    (finished,) = [entry for entry in entries if entry.get("outcome")]
    assert finished["file"] == r"no\x1b[31m\x0asuch"


def test_it_cannot_serve(tmp_path: Path) -> None:
    done = run("serve", "-a", "127.0.0.1:0", tmp_path / "missing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"snowowl: cannot serve ")
    done = run("serve", "-a", "192.0.2.77:0", "--log-format", "json", tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["level"] == "error"
    assert "192.0.2.77" in json.loads(line)["event"]


def test_it_takes_as_many_descriptors_as_it_may() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        with serving() as server:
            limits = Path(f"/proc/{server.process.pid}/limits")
            if not limits.exists():
                pytest.skip("no /proc to look at")
            (line,) = [line for line in limits.read_text().splitlines() if "open files" in line]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    expected = min(before[1], serve_program.DESCRIPTORS_WANTED)
    assert int(line.split()[3]) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
def test_workers_are_one_server(tmp_path: Path) -> None:
    with serving("--workers", "2", tmp_path) as server:
        assert json.loads(server.ready)["workers"] == 2
        assert server.stop() == 0
    events = [json.loads(line)["event"] for line in server.rest.splitlines()]
    assert [event.partition(":")[0] for event in events] == ["draining", "stopped"]


def test_where_there_can_be_one_process_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It serves all the same, and says why by one."""
    for name in ("SNOWOWL_CONFIG", *(variable.name for variable in VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("snowowl.server.supervisor._LINUX", False)
    monkeypatch.setattr("snowowl.server.serve.serve", _refuse)
    for workers, warns in (("2", True), ("auto", False), ("1", False)):
        assert call("--workers", workers, tmp_path) == 1
        told = capfd.readouterr().err
        assert ("server.workers: has no effect on this system, one process serves" in told) == warns
        assert "snowowl: cannot serve" in told


async def _refuse(config: Config, **_: object) -> None:
    raise RootError(config.server.root, OSError())
