"""Real clients with a few faults that cost no wait; `python -m tests.faults.clients` plays them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.testing.faults import Verdict, faulty_server_thread
from tests.real.commands import ATFTP, ATFTP_WINDOW, CURL, HPA, Client

pytestmark = pytest.mark.real

FILE = bytes(index * 7 % 251 for index in range(12_300))


@pytest.mark.parametrize(
    ("client", "fault", "verdict"),
    [
        (CURL, "double-all", Verdict.RECOVERED),
        (CURL, "oack-order", Verdict.RECOVERED),
        (CURL, "error-4-octets", Verdict.NON_STRICT),  # it answers by an ERROR
        (HPA, "listening-port", Verdict.RECOVERED),
        (HPA, "oack-to-none", Verdict.RECOVERED),
        (ATFTP, "stray-data", Verdict.RECOVERED),
        (ATFTP_WINDOW, "window-gap", Verdict.RECOVERED),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_download(tmp_path: Path, client: Client, fault: str, verdict: Verdict) -> None:
    client.require()
    with faulty_server_thread({"file": FILE}, fault) as server:
        client.fetch(("127.0.0.1", server.port), "file", tmp_path / "got")
        (judged,) = server.settle()
    assert judged.verdict is verdict, (judged.why, judged.did)
    if verdict is Verdict.RECOVERED:
        assert (tmp_path / "got").read_bytes() == FILE


def test_the_sorcerers_apprentice_lives_in_atftp(tmp_path: Path) -> None:
    """0.8.0 sends DATA for a duplicate ACK: a wrong client that is found without being made."""
    ATFTP.require()
    (tmp_path / "local").write_bytes(FILE)
    with faulty_server_thread({}, "double-ack") as server:
        ATFTP.store(("127.0.0.1", server.port), "up", tmp_path / "local")
        (judged,) = server.settle()
    if judged.verdict is Verdict.RECOVERED:
        pytest.skip("this atftp is not under its spell any more")
    assert judged.verdict is Verdict.MISBEHAVED
    assert "Sorcerer's Apprentice" in judged.why
    assert judged.growth > 1.5
