"""`snowowl fuzz`: exit codes, what is said, what is kept, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from snowowl.cli import main
from tests.cli.program import ENVIRONMENT, SECONDS, command

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
FRAIL = ROOT / "tests" / "fuzzing" / "frail.py"

CRASH = 'snowowl-fuzz 1\noracle crash\nrule died\nread b"file"\nA send b"\\x00\\x01\\xff\\x00octet\\x00"\n'
HARMLESS = 'snowowl-fuzz 1\noracle crash\nrule died\nA send b"\\x00\\x01a\\x00octet\\x00"\n'


def call(*arguments: str | Path) -> int:
    """Run a command in this process."""
    with pytest.raises(SystemExit) as caught:
        main.main(["fuzz", *map(str, arguments)], prog_name="snowowl")
    return int(caught.value.code or 0)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(700))
    return folder


def frail(root: Path, bug: str = "") -> list[str]:
    """Return the URL and the command of a frail server."""
    words = f"{sys.executable} {FRAIL} {{port}} {root} {bug}"
    return [f"tftp://127.0.0.1:{free_port()}", "--command", words]


def test_a_crash_is_found_and_kept(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, xml = tmp_path / "out", tmp_path / "junit.xml"
    url, *rest = frail(root)
    options = ["--read", "file", "--seed", "2", "--examples", "400", "--only", "crash"]
    options += ["--shrink", "1"]
    assert call(url, *rest, *options, "--out", out, "--junit", xml, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["seed"], said["looked_for"]) == (1, 2, ["crash"])
    (finding,) = said["findings"]
    assert (finding["oracle"], finding["rule"]) == ("crash", "died")
    assert finding["shape"] == "UnicodeDecodeError"
    assert finding["confirmed"] == 3
    assert said["restarts"] > 0
    (kept,) = out.iterdir()
    assert str(kept) == finding["file"]
    assert kept.read_text() == finding["script"]
    suite = ET.fromstring(xml.read_text())
    assert suite.attrib["failures"] == "1"
    assert "UnicodeDecodeError" in suite[0][0].attrib["message"]

    # What was kept can be played again, against another server too.
    url, *rest = frail(root)
    assert call(url, *rest, "--replay", kept) == 1
    assert "crash/died/UnicodeDecodeError still happens" in capsys.readouterr().out
    url, *rest = frail(root, "none")
    assert call(url, *rest, "--replay", kept, "--timeout", "1") == 0
    assert "was not seen in 3 times" in capsys.readouterr().out


def test_a_sound_server_and_the_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, *rest = frail(root, "none")
    options = ["--examples", "5", "--seed", "1", "--only", "crash", "--only", "exhaustion"]
    assert call(url, *rest, *options, "--out", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"fuzzed {url}, seed 1\n\nscripts      5 in ")
    assert "looked for   crash, exhaustion\n" in out
    assert out.endswith("\n\nnothing found\n")
    assert err == "seed 1\n"
    assert not (tmp_path / "out").exists()
    assert call(url, *rest, *options, "-q", "--out", tmp_path / "out") == 0
    assert capsys.readouterr() == ("", "")


def test_a_replay_is_told_to_programs_too(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "crash.fuzz"
    script.write_text(CRASH)
    url, *rest = frail(root)
    assert call(url, *rest, "--replay", script, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["url"], said["wanted"], said["happens"]) == (url, "crash/died", True)
    assert call(url, *rest, "--replay", script, "--junit", tmp_path / "x.xml") == 2
    assert "--junit goes with a search, not with --replay" in capsys.readouterr().err


def test_a_replay_needs_no_hypothesis(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "crash.fuzz"
    script.write_text(CRASH)
    url, *rest = frail(root)
    without = (
        "import sys; sys.modules['hypothesis'] = None; from snowowl.cli import main;"
        "main(sys.argv[1:], prog_name='snowowl')"
    )
    words = [sys.executable, "-c", without, "fuzz", url, *rest]
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*words, "--replay", str(script)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    done = subprocess.run(
        words, capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
    )
    assert done.returncode == 3
    assert "pip install 'snowowl[fuzz]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tftp://127.0.0.1:7/file"], "--read NAME"),
        (["http://127.0.0.1"], "is not of the form"),
        (["tftp://192.0.2.1"], "say --yes"),
        (["tftp://127.0.0.1", "--command", "served"], "{port}"),
        (["tftp://127.0.0.1", "--command", "x {port}", "--pid", "1"], "leave --pid out"),
        (["tftp://127.0.0.1", "--only", "crash", "--skip", "crash"], "nothing to look for"),
        (["tftp://127.0.0.1", "--only", "doom"], "'doom' is not one of"),
        (["tftp://127.0.0.1", "--rate", "1e-300"], "not in the range x>=1"),  # slept for ever
        (["tftp://127.0.0.1", "--read", ""], "1 to 400 octets"),
        (["tftp://127.0.0.1", "--secret", "/nonexistent"], "cannot read /nonexistent"),
        (["tftp://127.0.0.1", "--replay", "/nonexistent"], "cannot read /nonexistent"),
    ],
)
def test_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (CRASH.replace("send", "sand").encode(), "line 5: a peer can send"),
        (b"\xff\xfe", "is no text"),
        (b"", "line 1: the file is empty"),
        (b"#" * (5 << 20), "more than 4 MiB"),
    ],
)
def test_a_damaged_script(
    octets: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script"
    script.write_bytes(octets)
    assert call("tftp://127.0.0.1", "--replay", script) == 2
    assert said in capsys.readouterr().err


def test_what_cannot_run(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"tftp://127.0.0.1:{free_port()}"
    assert call(url, "--wait", "0.1") == 3
    assert "no good answer within 0.1 s: its port is closed" in capsys.readouterr().err
    url, *rest = frail(root, "refuses")
    assert call(url, *rest) == 3
    assert "does not start: exit status 1: there is no such thing" in capsys.readouterr().err
    assert call(url, "--command", "/nonexistent {port}") == 3
    assert "cannot start /nonexistent" in capsys.readouterr().err
    assert call(url, "--pid", "4194304") == 3
    assert "no process 4194304" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_an_interrupt_leaves_nothing(root: Path, number: signal.Signals) -> None:
    url, *rest = frail(root, "child")
    process = subprocess.Popen(
        command("fuzz", url, *rest, "-v", "--out", str(root.parent / "out")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stderr is not None
    while "searching" not in process.stderr.readline():
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "snowowl: interrupted" in err
    assert f"fuzzed {url}" in out
    assert not any(str(root) in words for words in command_lines())


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found
