"""`fuzz/run.py`: what is planted is found, saved, told as Python, and replayed; exit codes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuzz import engines, worker
from fuzz.plays import REPORT_VARIABLE, WATCH
from fuzz.run import main
from fuzz.seeds import call
from fuzz.targets import TARGETS
from snowowl.wire.codec import Buffer, MalformedPacket, decode
from snowowl.wire.packets import Error, OptionAck, Request


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for counts and findings, which are those of this test alone."""
    folder = tmp_path / "report"
    folder.mkdir()
    monkeypatch.setenv(REPORT_VARIABLE, str(folder))
    for counts in ("examples", "datagrams", "findings"):
        monkeypatch.setattr(WATCH, counts, {})
    return folder


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that cannot bear an ERROR of an odd code."""

    def broken(datagram: Buffer) -> Request | OptionAck | Error:
        packet = decode(datagram)
        if isinstance(packet, Error) and packet.code > 9:
            raise IndexError("planted")
        return packet

    monkeypatch.setattr("fuzz.octets.decode", broken)


def test_every_target_is_listed_with_its_invariant() -> None:
    result = run("--list")
    assert result.exit_code == 0
    text = re.sub(r"\s+", " ", result.output)
    for target in TARGETS.values():
        assert target.name in text
        assert target.invariant in text


@pytest.mark.usefixtures("bug")
def test_what_is_planted_is_found_shrunk_saved_and_replayed(report: Path, tmp_path: Path) -> None:
    assert worker.by_hypothesis("decode", 30.0, 3000, 1) == 1
    order = engines.Order("hypothesis", ["decode"], 30.0, 3000, 1, 1, tmp_path / "findings")
    everything = engines.Round(order, report)
    everything.look()
    tally = everything.tallies["decode"]
    assert tally.examples > 0
    ((name, path),) = tally.findings.items()
    assert path == tmp_path / "findings" / name
    text = path.read_text()
    assert text.startswith(
        "# target: decode\n# IndexError in test_run.py, broken: raise IndexError"
    )
    last = text.splitlines()[-1]
    assert f"# play.{last}\n" in text
    octets = ast.literal_eval(last.removeprefix("decode(").removesuffix(")"))
    assert len(octets) <= 5, octets  # shrunk: an opcode, a code, and hardly a text
    result = run("--engine", "replay", path)
    assert result.exit_code == 1
    assert "IndexError: planted" in result.output
    assert "play.decode(" in result.output


def test_a_finding_that_is_fixed_is_replayed_well(tmp_path: Path) -> None:
    path = tmp_path / "any.txt"
    path.write_text("# target: decode\n\ndecode(b'\\0\\5\\0\\n')\n")
    result = run("--engine", "replay", path)
    assert (result.exit_code, result.output) == (0, "1 files replayed, 0 failed\n")


def test_the_corpus_is_replayed_if_no_file_is_named() -> None:
    result = run("--engine", "replay", "--target", "url", "--target", "netascii")
    assert (result.exit_code, result.output) == (0, "2 files replayed, 0 failed\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("decode(b'')\n", "say so by --target"),
        ("# target: nothing\ndecode(b'')\n", "say so by --target"),
        ("# target: decode\ndecode(\n", ":2: "),
        ("# target: decode\nencode(b'')\n", "has no call encode"),
        ("# target: decode\ndecode(7)\n", "of the wrong kind"),
    ],
)
def test_a_file_that_is_no_seed_is_a_wrong_usage(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "any.txt"
    path.write_text(text)
    result = run("--engine", "replay", path)
    assert result.exit_code == 2
    assert said in result.output
    assert str(path) in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["--target", "nothing"],
        ["--engine", "afl"],
        ["--seconds", "0"],
        ["--examples", "0"],
        ["--jobs", "0"],
        ["some-file"],
        ["--engine", "replay", "there-is-no-such-file"],
        ["--engine", "replay", "-t", "decode", "-t", "url", "some-file"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    assert run(*words).exit_code == 2


@pytest.mark.parametrize("engine", ["hypofuzz", "atheris"])
def test_an_engine_that_is_not_installed(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.NEEDS, engine, "there_is_no_such_package")
    result = run("--engine", engine)
    assert result.exit_code == 3
    assert f"{engine} is not installed" in result.output
    assert "pip install" in result.output


def test_one_run_in_a_process_of_its_own(tmp_path: Path) -> None:
    result = run("-t", "url", "--examples", "30", "--seed", "1", "--findings", tmp_path / "found")
    assert result.exit_code == 0, result.output
    assert re.search(r"^url +\d+ ", result.output, re.MULTILINE)
    assert not (tmp_path / "found").exists()


def test_a_process_that_dies_is_no_success(report: Path, tmp_path: Path) -> None:
    order = engines.Order("hypothesis", ["url"], 1.0, 1, 1, 1, tmp_path / "findings")
    everything = engines.Round(order, report)
    try:
        everything.start(["false"], "url", 10.0)
        everything.wait(1, lambda _: None)
    finally:
        everything.close()
    assert everything.tallies["url"].trouble.startswith("it ended with status 1")


def test_a_process_that_hangs_is_ended(report: Path, tmp_path: Path) -> None:
    order = engines.Order("hypothesis", ["url"], 1.0, 1, 1, 1, tmp_path / "findings")
    everything = engines.Round(order, report)
    try:
        everything.start(["sleep", "1000"], "url", 0.1)
        everything.wait(1, lambda _: None)
    finally:
        everything.close()
    assert everything.tallies["url"].trouble.startswith("it did not end in time")


@pytest.mark.usefixtures("bug", "report")
def test_a_play_that_has_failed_is_not_asked_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("fuzz.octets.Decoding.close", lambda _: asked.append("close"))
    run = TARGETS["decode"].begin()
    run.do("decode", b"")
    with pytest.raises(IndexError, match="planted"):
        run.do("decode", b"\0\5\0\x0a")
    run.close()
    assert not asked
    (finding,) = WATCH.findings.values()
    assert finding.seed == (call("decode", b""), call("decode", b"\0\5\0\x0a"))
    assert WATCH.examples == {"decode": 1}


def test_malformed_packets_are_no_findings() -> None:
    with pytest.raises(MalformedPacket):
        decode(b"")
    TARGETS["decode"].run((call("decode", b""),))
