"""`snowowl faults` as people and scripts run it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from snowowl.cli import main
from snowowl.cli.faults_table import GROUPS_MAX, REASONS_MAX, Tally, transfer_line
from snowowl.observe.events import Direction
from snowowl.testing.faults import FAULTS, Judged, Verdict
from tests.cli.program import ENVIRONMENT, SECONDS, command

pytestmark = pytest.mark.real

FILE = bytes(index % 251 for index in range(3000))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["faults", *arguments])


def test_the_list_has_every_fault() -> None:
    result = invoke("--list")
    assert result.exit_code == 0
    for name, fault in FAULTS.items():
        assert f"{name}  ({fault.clause}" in result.output
    assert "block=2  the block at which it happens" in result.output
    assert max(map(len, result.output.splitlines())) <= 120


def test_the_list_for_programs() -> None:
    listed = {fault["name"]: fault for fault in json.loads(invoke("--list", "--json").output)}
    assert set(listed) == set(FAULTS)
    lost = listed["lost-data"]
    assert lost["request"] == "RRQ"
    assert [one["name"] for one in lost["parameters"]] == ["block", "times"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "lost-dta"], "there is no fault 'lost-dta' (did you mean lost-data?)"),
        (["-f", "lost-data:x=1"], "lost-data has no parameter 'x'"),
        (["-a", "localhost:69"], "is not a literal address"),
        (["--cycle", "--once"], "--cycle and --once exclude each other"),
        (["-f", "silence", "--random", "3"], "--fault and --random exclude each other"),
        (["/nowhere/at/all"], "no such directory"),
        (["--random", "0"], "--random"),
    ],
)
def test_usage(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_an_address_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        result = subprocess.run(
            command("faults", "-a", f"127.0.0.1:{sock.getsockname()[1]}"),
            capture_output=True,
            env=ENVIRONMENT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert result.returncode == 3
    assert "another server has this port" in result.stderr
    assert "Traceback" not in result.stderr


@attrs.frozen
class Running:
    process: subprocess.Popen[str]
    port: int
    seed: int

    def ask(self, name: str, *, wrong: bool = False) -> None:
        """Fetch a file in lock-step, by hand; a wrong client acknowledges what it never got."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.sendto(f"\0\1{name}\0octet\0".encode(), ("127.0.0.1", self.port))
            while True:
                packet, peer = sock.recvfrom(65536)
                if packet[:2] != b"\0\3":
                    return
                ack = b"\0\4\x77\x77" if wrong else b"\0\4" + packet[2:4]
                sock.sendto(ack, peer)
                if wrong or len(packet) < 516:
                    return

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return exit status, stdout and the rest of stderr."""
        out, rest = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, rest


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Running]:
    (folder / "f").write_bytes(FILE)
    process = subprocess.Popen(
        command("faults", folder, "-a", "127.0.0.1:0", "--silence", "0.5", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )
    assert process.stderr is not None
    try:
        port = int(process.stderr.readline().rpartition(":")[2])
        seed = int(process.stderr.readline().split()[1])
        yield Running(process, port, seed)
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_a_script_chooses_by_name_and_reads_json(tmp_path: Path) -> None:
    with serving(tmp_path, "--json", "--seed", "7", "--once", "-f", "double-data") as running:
        running.ask("old-data/f")
        running.ask("lost-dta:x=1/f")
        running.ask("f")
        status, out, rest = running.end()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["started", "transfer", "transfer", "summary"]
    assert lines[0]["seed"] == running.seed == 7
    played = {line["fault"]: line for line in lines[1:3]}
    assert set(played) == {"old-data", "double-data"}
    assert {line["verdict"] for line in played.values()} == {"RECOVERED"}
    assert lines[3]["verdicts"] == {"RECOVERED": 2}
    assert "did you mean lost-data" in rest
    assert status == 0


def test_a_client_that_misbehaves_and_a_signal(tmp_path: Path) -> None:
    with serving(tmp_path, "-f", "slow", "--cycle") as running:
        running.ask("f", wrong=True)
        running.ask("f")
        running.process.send_signal(signal.SIGTERM)
        status, out, rest = running.end()
    assert status == 1
    assert "2 transfers: " in out
    assert "1 MISBEHAVED" in out
    assert "acknowledged block 30583, while it can have no more than 1" in out
    assert "Traceback" not in rest


def test_a_signal_before_any_transfer(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        status, out, _ = running.end()
    assert (status, out.strip()) == (0, "no transfer was judged")


def judged(fault: str, verdict: Verdict, why: str) -> Judged:
    return Judged(
        client="192.0.2.9:2000",
        direction=Direction.READ,
        filename=b"a\x1b[2J",
        options=(),
        fault=fault,
        verdict=verdict,
        why=why,
        did=("retransmitted after 1.0 s", "completed"),
        seconds=1.0,
        sent=1,
        heard=1,
        growth=1.0,
        trace=(),
    )


def test_the_lines() -> None:
    one = judged("lost-data", Verdict.RECOVERED, "completed")
    assert transfer_line(one) == (
        "RECOVERED    lost-data                    RRQ from 192.0.2.9:2000 file a\\x1b[2J:"
        " retransmitted after 1.0 s; completed"
    )
    assert "\x1b[32m" in transfer_line(one, colors=True)
    two = judged("", Verdict.MISBEHAVED, "it did")
    tally = Tally()
    for each in (one, one, two):
        tally.add(each)
    assert tally.summary() == (
        "verdict      fault                        times  why\n"
        "RECOVERED    lost-data                        2  completed\n"
        "MISBEHAVED   no fault                         1  it did\n"
        "\n"
        "3 transfers: 2 RECOVERED, 1 MISBEHAVED"
    )


def test_the_table_stays_small_whatever_clients_do() -> None:
    tally = Tally()
    for number in range(GROUPS_MAX + 50):
        tally.add(judged(f"lost-data:block={number}", Verdict.ENDED, "it did"))
        tally.add(judged("lost-data", Verdict.MISBEHAVED, f"sent ACK {number}"))
    lines = tally.summary().splitlines()
    assert len(lines) == 1 + GROUPS_MAX + 1 + 2  # the head, the groups, the rest, the totals
    (misbehaved,) = (line for line in lines if line.startswith("MISBEHAVED"))
    assert misbehaved.count("sent ACK") == REASONS_MAX
    assert misbehaved.endswith("; ...")
    assert "other faults" in lines[-3]
    total = GROUPS_MAX + 50
    assert lines[-1] == f"{2 * total} transfers: {total} ENDED, {total} MISBEHAVED"
