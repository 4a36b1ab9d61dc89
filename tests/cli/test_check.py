"""`snowowl check`: the exit statuses that monitoring knows, and no file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snowowl.cli import check as module
from snowowl.cli import main
from tests.cli.program import Server, answering, run, serving

pytestmark = pytest.mark.real

CONTENT = os.urandom(300_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    (root / "file").write_bytes(CONTENT)
    with serving(root) as running:
        yield running


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def test_a_good_server(server: Server, tmp_path: Path) -> None:
    done = run("check", f"tftp://127.0.0.1:{server.port}/file", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"TFTP OK - file, 293.0 KiB in ")
    assert done.stdout.endswith(b" size=300000B;;;0\n")
    assert list(tmp_path.iterdir()) == []


def test_what_is_expected_of_the_file(server: Server) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    digest = hashlib.sha256(CONTENT).hexdigest()
    for words, status in (
        (["--size", "300000", "--sha256", digest.upper(), "-c", "60"], 0),
        (["-w", "0"], 1),
        (["--size", "1"], 2),
        (["--sha256", "0" * 64], 2),
        (["--max-octets", "1000", "--size", "300000"], 0),
        (["--no-options"], 0),
        (["--expect-missing"], 2),
    ):
        assert check(*words, url).exit_code == status, words
    assert check("--expect-missing", url + "-not").exit_code == 0
    assert check(url + "-not").exit_code == 2
    assert check("-q", url + "-not").output == ""


def test_the_document(server: Server) -> None:
    url = f"tftp://127.0.0.1:{server.port}/file"
    document = json.loads(check("--json", url).output)
    assert (document["status"], document["exit_status"]) == ("OK", 0)
    assert (document["octets"], document["announced"], document["whole"]) == (
        300_000,
        300_000,
        True,
    )
    assert document["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert document["options"]["blksize"] == "1468"


def test_a_server_that_says_nothing() -> None:
    with answering() as port:
        result = check("-t", "0.3", f"tftp://127.0.0.1:{port}/x")
    assert result.exit_code == 2
    assert f"no answer from 127.0.0.1:{port} in 0.3 s" in result.output
    assert "--single-port" in result.output
    result = check(f"tftp://127.0.0.1:{port}/x")
    assert result.exit_code == 2
    assert "nobody listens" in result.output


def test_what_a_server_says_is_escaped() -> None:
    with answering(b"\0\5\0\0\x1b[31mred | time=0\n\0") as port:
        result = check(f"tftp://127.0.0.1:{port}/x")
    assert result.exit_code == 2
    assert r"\x1b[31mred / time=0\n" in result.output
    assert result.output.count("\n") == 1
    assert result.output.count("|") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["tftp://192.0.2.1/x", "--no-such-option"],
        ["tftp://192.0.2.1/x", "-t", "0"],
        ["tftp://192.0.2.1/x", "-w", "nan"],
        ["tftp://192.0.2.1/x", "--sha256", "12"],
        ["tftp://192.0.2.1/x", "--sha256", "0" * 64, "--max-octets", "1"],
        ["tftp://192.0.2.1/x", "--expect-missing", "--size", "1"],
        ["tftp://no-such-host.invalid/x"],
    ],
)
def test_what_is_no_verdict_on_the_server_is_unknown(words: list[str]) -> None:
    assert check(*words).exit_code == 3


@pytest.mark.parametrize(("error", "status"), [(ValueError("x\ny"), 3), (KeyboardInterrupt(), 3)])
def test_what_goes_wrong_here_is_unknown(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "_look", broken)
    result = check("tftp://192.0.2.1/x")
    assert result.exit_code == status
    assert result.output.count("\n") == 1
