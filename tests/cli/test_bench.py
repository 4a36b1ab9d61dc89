"""`snowowl bench`: exit codes, JSON, the display, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from snowowl.cli import main
from tests.cli.program import (
    ENVIRONMENT,
    SECONDS,
    Server,
    answering,
    command,
    run,
    serving,
)

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
CONTENT = os.urandom(100_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    (root / "file").write_bytes(CONTENT)
    (root / "text").write_bytes(b"a\nb\n")
    (root / "up").mkdir()
    with serving("--writable", root) as running:
        yield running


def call(*arguments: str) -> int:
    """Run a command in this process."""
    with pytest.raises(SystemExit) as caught:
        main.main(["bench", *arguments], prog_name="snowowl")
    return int(caught.value.code or 0)


def test_the_table_of_a_load(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    assert call("-c", "5", "-n", "12", "-w", "4", url) == 0
    out, err = capfd.readouterr()
    assert err == ""  # no display where there is no terminal
    assert out.startswith(f"downloads of {url}, 97.7 KiB, sha256 ")
    assert "tsize=100000 blksize=1468 windowsize=4" in out
    assert "transfers    12 done, 0 failed: " in out


def test_json_and_nothing_else(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    assert call("--json", "--storm", "-c", "3", "-n", "9", "--no-tsize", "-t", "2", url) == 0
    out, err = capfd.readouterr()
    assert err == ""
    report = json.loads(out)
    assert (report["url"], report["error"], report["schema"]) == (url, None, 1)
    assert report["transfers"]["done"] == 9
    assert report["octets"] == 9 * len(CONTENT)
    assert report["asked"] == {"blksize": "1468", "windowsize": "16", "timeout": "2"}


def test_quietly(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("-q", f"tftp://127.0.0.1:{server.port}/file") == 0
    assert capfd.readouterr() == ("", "")


def test_a_storm_ends_with_its_time(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert call("--storm", "-d", "0.2", f"tftp://127.0.0.1:{server.port}/text") == 0
    assert time.monotonic() - began < 5
    assert "64 clients, 256 ports" in capfd.readouterr().out


def test_uploads(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"tftp://127.0.0.1:{server.port}/up"
    arguments = ("--upload", "--size", "10k", "-c", "2", "-n", "3", "--loss", "1")
    assert call(*arguments, url) == 0
    assert "read back    3 of 3 are right" in capfd.readouterr().out
    assert call("--upload", "--json", url + "/") == 73  # the names are taken
    report = json.loads(capfd.readouterr().out)
    assert report["failures"][0]["what"].startswith("file already exists")
    other = ("--upload", "--upload-name", "other{client}{n}", "--no-verify", "--size", "1", "-q")
    assert call(*other, url) == 0
    assert call(*other, url) == 73
    assert "1 x file already exists" in capfd.readouterr().err


def test_the_expected_octets(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"tftp://127.0.0.1:{server.port}/"
    wrong = tmp_path / "wrong"
    wrong.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert call("--expect", str(wrong), url + "file") == 1
    assert "wrong octets from offset 99999 on" in capfd.readouterr().out
    assert call("--expect", str(tmp_path / "missing"), url + "file") == 26
    assert "cannot read" in capfd.readouterr().err
    wrong.write_bytes(b"a\nb\n")
    assert call("--expect", str(wrong), url + "text;mode=netascii") == 0


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"\0\5\0\1nope\0", 68, "file not found (server's error 1): nope"),
        (b"\0\5\0\2\x1b[31m\0", 69, r"\x1b[31m"),
        (b"\0\6windowsize\x0099\0", 71, "more than was asked for"),
    ],
)
def test_exit_codes_are_those_of_get(
    answer: bytes, status: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(answer) as port:
        assert call(f"tftp://127.0.0.1:{port}/file") == status
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    with answering(answer) as port:
        assert call("--json", f"tftp://127.0.0.1:{port}/file") == status
    assert words in json.loads(capfd.readouterr().out)["error"]


def test_a_silent_server(capfd: pytest.CaptureFixture[str]) -> None:
    with answering() as port:
        assert call("--retries", "0", "-c", "50", f"tftp://127.0.0.1:{port}/file") == 28
    assert f"127.0.0.1:{port} does not answer" in capfd.readouterr().err


def test_a_closed_port_and_a_name_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    with answering() as port:
        pass
    assert call(f"tftp://127.0.0.1:{port}/file") == 7
    assert call("--upload", f"tftp://127.0.0.1:{port}/") == 7
    assert call("tftp://nosuch.invalid/file") == 6
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://x/y"], "not of the form"),
        (["tftp://x/"], "names no file"),
        (["--size", "1M", "tftp://x/y"], "--size is for --upload"),
        (["--upload", "--expect", "f", "tftp://x/y"], "--expect is for downloads"),
        (["--upload", "tftp:x"], "not of the form"),
        (["--upload", "--upload-name", "same", "tftp://x/"], "upload_name must hold"),
        (["--upload", "--size", "2G", "tftp://x/"], "upload_size must be from"),
        (["--upload", "--size", "many", "tftp://x/"], "no size"),
        (["-c", "5", "--sockets", "4", "tftp://x/y"], "sockets must be from 5"),
        (["--loss", "100", "tftp://x/y"], "--loss"),
        (["-d", "0", "tftp://x/y"], "--duration"),
        (["--rung", "none", "tftp://x/y"], "--rung"),
    ],
)
def test_usage(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2
    assert words in capfd.readouterr().err


def on_a_terminal(url: str, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """Run the command with its standard error on a terminal; return that, too."""
    own, other = pty.openpty()
    with ExitStack() as stack:
        stack.callback(os.close, other)
        process = subprocess.Popen(
            command("bench", *arguments, url),
            stdout=subprocess.PIPE,
            stderr=other,
            cwd=ROOT,
            env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "100"},
        )
    return process, own


def read_until(descriptor: int, words: bytes) -> bytes:
    """Return what a terminal shows, up to some words; fails if they do not come."""
    shown, end = b"", time.monotonic() + SECONDS
    while words not in shown:
        assert time.monotonic() < end, shown
        shown += os.read(descriptor, 4096)
    return shown


def test_the_display_and_ctrl_c(server: Server) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    process, terminal = on_a_terminal(url, "-d", "60", "-c", "2")
    try:
        read_until(terminal, b"measuring")
        read_until(terminal, b"/s")
        process.send_signal(signal.SIGINT)
        read_until(terminal, b"interrupted")
        out, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)
    assert process.returncode == 130
    assert b"unfinished" in out or b"done" in out
    assert out.startswith(b"downloads of")


def test_ctrl_c_during_the_first_transfer() -> None:
    with answering() as port:
        process, terminal = on_a_terminal(f"tftp://127.0.0.1:{port}/file", "--json")
        try:
            read_until(terminal, b"first transfer")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            process.communicate()
            os.close(terminal)
    assert process.returncode == 130
    report = json.loads(out)
    assert (report["interrupted"], report["transfers"]["begun"]) == (True, 0)


def test_too_few_descriptors(server: Server) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    words = command("bench", "-c", "200", url)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *words],
        capture_output=True,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 7
    assert b"of 200: Too many open files" in done.stderr
    assert b"Traceback" not in done.stderr


def test_help() -> None:
    done = run("bench", "--help")
    assert done.returncode == 0
    assert b"Exit status" in done.stdout
