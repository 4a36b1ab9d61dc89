"""`snowowl get` and `snowowl put`: exit codes, files, streams, the bar on a terminal."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from snowowl.cli import main
from snowowl.cli.transfer import exit_code
from snowowl.client.errors import ClientError, Reason
from tests.cli.program import ENVIRONMENT, SECONDS, Server, answering, command, run, serving

pytestmark = pytest.mark.real

CONTENT = os.urandom(300_000)
BLOCK_1 = b"\0\3\0\1" + bytes(512)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    (root / "file").write_bytes(CONTENT)
    (root / "-").write_bytes(b"dash")
    (root / "text").write_bytes(b"a\nb\n")
    with serving("--writable", root) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> int:
    """Run a command in this process."""
    with pytest.raises(SystemExit) as caught:
        main.main(list(arguments), prog_name="snowowl")
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("reason", "code", "status"),
    [
        (Reason.RESOLVE, None, 6),
        (Reason.CONNECT, None, 7),
        (Reason.LOCAL_WRITE, None, 23),
        (Reason.LOCAL_READ, None, 26),
        (Reason.TIMEOUT, None, 28),
        (Reason.PROTOCOL, 8, 71),
        *((Reason.SERVER, code, 67 + code) for code in range(1, 8)),
        (Reason.SERVER, 0, 1),
        (Reason.SERVER, 8, 1),
        (Reason.SERVER, 999, 1),
    ],
)
def test_exit_codes_are_curls(reason: Reason, code: int | None, status: int) -> None:
    assert exit_code(ClientError(reason, "words", code)) == status


def test_get_and_its_last_line(
    server: Server, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("get", f"tftp://127.0.0.1:{server.port}/file") == 0
    assert (here / "file").read_bytes() == CONTENT
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("file: 293.0 KiB in ")
    assert "tsize=300000 blksize=1468 windowsize=16" in err
    assert "\x1b" not in err  # no bar where there is no terminal
    assert err.count("\n") == 1


def test_get_without_options_and_quietly(
    server: Server, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    assert call("get", "--no-options", "-o", "copy", url) == 0
    assert "no options" in capfd.readouterr().err
    assert call("get", "-q", "-o", "copy", url) == 0
    assert capfd.readouterr() == ("", "")
    assert (here / "copy").read_bytes() == CONTENT
    assert call("get", "-b", "1000", "-w", "2", "-t", "3", "-o", "copy", url) == 0
    assert "blksize=1000 windowsize=2 timeout=3" in capfd.readouterr().err


def test_get_to_stdout(server: Server, here: Path) -> None:
    done = run("get", "-o", "-", f"tftp://127.0.0.1:{server.port}/file")
    assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, b"")
    assert list(here.iterdir()) == []


def test_a_name_that_is_a_dash_is_a_file(server: Server, here: Path) -> None:
    assert call("get", f"tftp://127.0.0.1:{server.port}/-") == 0
    assert (here / "-").read_bytes() == b"dash"


def test_put_from_a_file_and_from_stdin(server: Server, here: Path) -> None:
    (here / "up").write_bytes(b"sent")
    url = f"tftp://127.0.0.1:{server.port}/"
    assert call("put", "up", url) == 0
    assert call("put", "up", url) == 73
    assert run("put", "-", url + "piped", stdin=b"through").returncode == 0
    for name, octets in (("up", b"sent"), ("piped", b"through")):
        assert call("get", "-o", "back", url + name) == 0
        assert (here / "back").read_bytes() == octets


def test_put_of_an_input_that_cannot_be_read() -> None:
    unreadable = os.open("/dev/null", os.O_WRONLY)
    done = subprocess.run(
        command("put", "-", "tftp://127.0.0.1:1/x"),
        stdin=unreadable,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    os.close(unreadable)
    assert done.returncode == 26
    assert b"Bad file descriptor" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"\0\5\0\1nope\0", 68, "file not found (server's error 1): nope"),
        (b"\0\5\0\2\0", 69, "access violation"),
        (b"\0\5\0\5\0", 72, "unknown transfer ID"),
        (b"\0\5\0\0\x1b[31mred\n\0", 1, r"\x1b[31mred\n"),
        (b"\0\6blksize\x009999\0", 71, "more than was asked for"),
    ],
)
def test_failures(
    answer: bytes, status: int, words: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(answer) as port:
        assert call("get", f"tftp://127.0.0.1:{port}/x") == status
    err = capfd.readouterr().err
    assert err.startswith("snowowl: ")
    assert words in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_failures_on_this_side(
    server: Server, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    with answering() as port:
        assert call("get", "-t", "1", "--retries", "0", f"tftp://127.0.0.1:{port}/x") == 28
    assert call("get", f"tftp://127.0.0.1:{port}/x") == 7
    assert call("get", "tftp://no-such-host.invalid/x") == 6
    assert call("get", "-o", "missing/x", url) == 23
    assert call("get", "-o", "/dev/full", url) == 23
    assert call("put", "missing", url) == 26
    assert "Traceback" not in capfd.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["get"],
        ["get", "host/file"],
        ["get", "tftp://h/folder/"],
        ["get", "tftp://h/.."],
        ["get", "-b", "7", "tftp://h/f"],
        ["get", "--retries", "1000001", "tftp://h/f"],
        ["put", "file"],
        ["put", "-", "tftp://h/"],
        ["gte"],
    ],
)
def test_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2
    assert "Error: " in capfd.readouterr().err


def test_the_command_that_was_meant(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("sevre") == 2
    assert "Did you mean 'serve'?" in capfd.readouterr().err
    assert call("xyzzy") == 2
    assert "Did you mean" not in capfd.readouterr().err


def test_help_imports_nothing_slow() -> None:
    script = (
        "import sys\nfrom snowowl.cli import main\n"
        "for words in ([], ['get'], ['put'], ['serve'], ['config']):\n"
        "    try: main.main([*words, '--help'], prog_name='snowowl')\n"
        "    except SystemExit as caught: assert not caught.code\n"
        "slow = {'trio', 'rich', 'structlog', 'cattrs', 'tomlkit', 'attr', 'asyncio'}\n"
        "sys.exit(repr(slow & set(sys.modules)) if slow & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [command()[0], "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  snowowl serve --writable boot " in done.stdout  # laid out line by line
    assert r"\b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_ctrl_c_leaves_nothing_and_tells_the_server(here: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(SECONDS)
        url = f"tftp://127.0.0.1:{server.getsockname()[1]}/x"
        process = subprocess.Popen(
            command("get", "-o", str(here / "x"), url),
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        _, client = server.recvfrom(600)
        server.sendto(BLOCK_1, client)
        assert server.recvfrom(600)[0] == b"\0\4\0\1"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
        assert (process.returncode, err) == (130, b"snowowl: interrupted\n")
        while (told := server.recvfrom(600)[0]) == b"\0\4\0\1":
            pass
        assert told[:4] == b"\0\5\0\0"
    assert list(here.iterdir()) == []


def test_the_bar_on_a_terminal(here: Path) -> None:
    """A server that stalls after a block and tells no size: the bar pulses."""
    cases: list[tuple[dict[str, str], bool, bool]] = [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ]
    with ExitStack() as stack:
        started = []
        for environment, _, _ in cases:
            port = stack.enter_context(answering(BLOCK_1))
            started.append(stalled(port, environment))
        for (environment, moves, colors), (process, terminal) in zip(cases, started, strict=True):
            shown = drained(terminal)
            assert process.wait(SECONDS) == 28, environment
            assert (b"512" in shown) == moves, environment
            assert (b"\x1b[3" in shown) == colors, environment
            assert b"does not answer" in shown, environment


def stalled(port: int, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Return a running `get` whose stderr is a terminal, and the other end of that."""
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        command("get", "-t", "1", "--retries", "0", f"tftp://127.0.0.1:{port}/x"),
        stderr=other,
        env={**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
        cwd=Path(__file__).parents[2],
    )
    os.close(other)
    return process, terminal


def drained(terminal: int) -> bytes:
    """Return what is written to a terminal until it is closed."""
    shown = b""
    with suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    return shown
