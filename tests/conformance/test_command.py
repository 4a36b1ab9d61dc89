"""`snowowl conformance`: what comes out, exit codes, servers that are dead, die, or cannot be found."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snowowl.cli import main
from snowowl.testing.conformance import all_cases
from tests.cli.program import ENVIRONMENT, SECONDS, Server, command, serving

pytestmark = pytest.mark.real

TEXT = b"".join(b"%06d\n" % line for line in range(1500))
QUICK = ("--only", "1350-2-read", "--only", "1350-5-missing-file", "--only", "7440-window")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    (root / "text").write_bytes(TEXT)
    with serving("--writable", root) as running:
        yield running


def call(*arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    with pytest.raises(SystemExit) as caught:
        main(["conformance", *arguments])
    code = caught.value.code
    assert isinstance(code, int)
    return code


def url(server: Server) -> str:
    return f"tftp://127.0.0.1:{server.port}"


@contextmanager
def answering(*, dies_of: bytes = b"\0\7", code: int = 0, answers: int = 1_000) -> Iterator[int]:
    """Give the port of a server of one short file, which answers ERROR with a code for any other.

    It ends at a datagram that begins so, and when it has answered so often.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            left = answers
            while not over.is_set() and left:
                try:
                    octets, peer = sock.recvfrom(65536)
                except TimeoutError:
                    continue
                if octets.startswith(dies_of):
                    break
                if octets[:2] == b"\0\1":
                    left -= 1
                    found = octets.startswith(b"\0\1text\0")
                    missing = b"\0\5" + code.to_bytes(2, "big") + b"no\x1b[31m\0"
                    sock.sendto(b"\0\3\0\1short" if found else missing, peer)
            sock.close()

        thread = threading.Thread(target=serve)
        port = sock.getsockname()[1]
        thread.start()
        try:
            yield port
        finally:
            over.set()
            thread.join()


def test_a_table(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(url(server), "--read", "text", *QUICK) == 0
    out, err = capfd.readouterr()
    assert "a file of 10500 octets" in out
    assert "RFC 1350: reading" in out
    assert "3 cases" in out
    assert "3 OK, 0 NON-STRICT, 0 INFORMATIONAL, 0 FAILED" in out
    assert "\x1b" not in out
    assert not err


def test_evidence_of_all_with_v(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(url(server), "--read", "text", "-v", "--only", "1350-2-read") == 0
    out = capfd.readouterr().out
    assert 'RRQ "text" "octet"' in out
    assert "DATA 1, 512 octets" in out


def test_json(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(url(server), "--read", "text", *QUICK, "--json") == 0
    document = json.loads(capfd.readouterr().out)
    assert set(document) == {
        "version",
        "url",
        "strict",
        "server",
        "counts",
        "not_run",
        "died_in",
        "stopped",
        "written",
        "seconds",
        "cases",
    }
    assert document["counts"] == {"OK": 3, "INFORMATIONAL": 0, "NON-STRICT": 0, "FAILED": 0}
    assert [case["id"] for case in document["cases"]] == list(QUICK[1::2])
    first = document["cases"][0]
    assert first["verdict"] == "OK"
    assert first["level"] == "MUST"
    assert {"direction", "text", "at", "port", "local_port", "size", "octets"} == set(
        first["evidence"][0]
    )
    file = tmp_path / "out.json"
    assert call(url(server), "--read", "text", *QUICK, "--json", str(file)) == 0
    assert json.loads(file.read_text())["counts"]["OK"] == 3
    assert "3 cases" in capfd.readouterr().out


def test_junit(tmp_path: Path) -> None:
    file = tmp_path / "out.xml"
    with answering(code=0) as port:
        arguments = [
            f"tftp://127.0.0.1:{port}",
            "--read",
            "text",
            "--junit",
            str(file),
            "-t",
            "0.3",
        ]
        assert call(*arguments, *QUICK, "--strict") == 1
    root = ET.parse(file).getroot()
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    (failure,) = root.iter("failure")
    assert failure.get("type") == "NON-STRICT"
    assert failure.text is not None
    assert "ERROR 0" in failure.text
    assert r"\x1b[31m" in failure.text
    assert [case.get("name") for case in root.iter("testcase")] == list(QUICK[1::2])


def test_non_strict_counts_only_if_that_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    with answering(code=0) as port:
        arguments = [f"tftp://127.0.0.1:{port}", "--read", "text", "-t", "0.3", *QUICK]
        assert call(*arguments) == 0
        assert "1 NON-STRICT" in capfd.readouterr().out
        assert call(*arguments, "--strict", "-q") == 1
    out, err = capfd.readouterr()
    assert out.startswith("NON-STRICT 1350-5-missing-file: expected ERROR 1, but ERROR 0")
    assert "3 cases" in err


def test_a_server_that_dies_is_told_with_what_did_it(capfd: pytest.CaptureFixture[str]) -> None:
    cases = ("--only", "1350-2-read", "--only", "1350-5-unknown-opcode", "--only", "robust-*")
    with answering() as port:
        arguments = [f"tftp://127.0.0.1:{port}", "--read", "text", "-t", "0.3"]
        assert call(*arguments, *cases) == 1
    out = capfd.readouterr().out
    assert "The server no longer answers, since 1350-5-unknown-opcode." in out
    assert "not run: the server no longer answers" in out
    assert "1 FAILED" in out


def test_nobody_listens(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert call(f"tftp://127.0.0.1:{port}", "--read", "text") == 3
    assert "nothing listens at that port" in capfd.readouterr().err


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        assert call(f"tftp://127.0.0.1:{port}", "--read", "text", "-t", "0.1") == 3
    assert "no answer to 3 requests" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a server"),
        (["tftp://127.0.0.1"], "--read"),
        (["127.0.0.1", "--read", "x"], "not of the form"),
        (["tftp://127.0.0.1/file", "--read", "x"], "not of the form"),
        (["tftp://127.0.0.1:99999", "--read", "x"], "port must be a number"),
        (["tftp://127.0.0.1", "--read", "x", "--only", "nope-*"], "no case matches 'nope-*'"),
        (["tftp://127.0.0.1", "--read", "x", "--skip", "*"], "no case is left"),
        (["--json", "tftp://127.0.0.1", "--read", "x"], "--json took the URL"),
        (["tftp://127.0.0.1", "--read", "x", "--jobs", "0"], "--jobs"),
        (["tftp://127.0.0.1", "--read", "x" * 401], "400 octets at most"),
        (["tftp://127.0.0.1", "--read", "x", "--write", "x" * 401], "400 octets at most"),
    ],
)
def test_usage(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(*arguments) == 2
    assert words in capfd.readouterr().err


def test_a_host_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def nobody(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("trio.socket.getaddrinfo", nobody)
    assert call("tftp://nowhere.example", "--read", "text") == 3
    assert "cannot resolve nowhere.example" in capfd.readouterr().err


def test_a_file_that_is_not_there(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(url(server), "--read", "nope") == 3
    assert "cannot be read: ERROR 1" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--json=", "--junit="])
def test_a_file_that_cannot_be_written_is_told_before_the_run(
    option: str, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call(url(server), "--read", "text", f"{option}/nonexistent/x") == 3
    out, err = capfd.readouterr()
    assert err == "snowowl: cannot write /nonexistent/x: No such file or directory\n"
    assert out == ""


def test_no_file_is_left_by_a_run_that_could_not_begin(tmp_path: Path, server: Server) -> None:
    junit, old = tmp_path / "junit.xml", tmp_path / "old.json"
    old.write_text("old")
    assert call(url(server), "--read", "nope", "--junit", str(junit), f"--json={old}") == 3
    assert not junit.exists()
    assert old.read_text() == "old"


@pytest.mark.parametrize("columns", ["", "20", "abc", "-5", "9" * 30])
def test_nonsense_in_columns_does_not_matter(
    columns: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main.main(["conformance", "--list"], prog_name="snowowl", standalone_mode=False)
    assert "1350-2-read" in capfd.readouterr().out


def test_the_next_address_of_a_host_is_tried(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def both(*_: object, **__: object) -> object:
        return [
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", (host, server.port))
            for host in ("127.0.0.2", "127.0.0.1")
        ]

    monkeypatch.setattr("trio.socket.getaddrinfo", both)
    assert call(f"tftp://two.example:{server.port}", "--read", "text", "--only", "1350-2-read") == 0
    assert "1 OK" in capfd.readouterr().out


def test_list(capfd: pytest.CaptureFixture[str]) -> None:
    main(["conformance", "--list"], standalone_mode=False)
    out = capfd.readouterr().out
    assert all(case.id in out for case in all_cases())
    assert "RFC 1350 section 6" in " ".join(out.split())
    main(["conformance", "--list", "--only", "rollover-*", "--json"], standalone_mode=False)
    listed = json.loads(capfd.readouterr().out)
    assert [case["id"] for case in listed] == [
        case.id for case in all_cases() if case.id.startswith("rollover-")
    ]


def test_as_a_module(server: Server) -> None:
    words = [command()[0], "-m", "snowowl.testing.conformance", url(server), "--read", "text"]
    done = subprocess.run(
        [*words, "--only", "1350-2-read"],
        capture_output=True,
        timeout=SECONDS,
        env=ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 OK" in done.stdout


@contextmanager
def on_a_terminal(*arguments: str, **environment: str) -> Iterator[tuple[int, int]]:
    """Run the command with its output on a terminal; give its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        os.environ.update(environment)
        words = command("conformance", *arguments)
        os.execv(words[0], words)
    try:
        yield pid, terminal
    finally:
        os.close(terminal)


def read_all(terminal: int, until: bytes = b"") -> bytes:
    octets = b""
    try:
        while not until or until not in octets:
            piece = os.read(terminal, 65536)
            if not piece:
                break
            octets += piece
    except OSError:  # Linux' end of a terminal
        pass
    return octets


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_breaks_off_is_shown_what_is_known(server: Server, number: signal.Signals) -> None:
    arguments = (url(server), "--read", "text", "--only", "1350-*", "--only", "1123-*")
    with on_a_terminal(*arguments, TERM="xterm") as (pid, terminal):
        shown = read_all(terminal, until=b"learning")
        os.kill(pid, number)
        out = shown + read_all(terminal)
        status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"not run: interrupted" in out
    assert b"The run was broken off: interrupted." in out


def test_help_names_verdicts_and_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    out = capfd.readouterr().out
    for words in ("NON-STRICT", "130 interrupted", "3 could not run", "--only GLOB"):
        assert words in out
