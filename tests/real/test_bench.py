"""`snowowl bench` against `snowowl serve`: what the client counts is what the server says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TypedDict

import pytest

from tests.real.harness import Server, names_in, run, serving

pytestmark = pytest.mark.real

CONTENT = os.urandom(200_000)


class Report(TypedDict):
    transfers: dict[str, int | None]
    octets: int
    rung: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("root")
    for name in ("file", "copy"):
        (folder / name).write_bytes(CONTENT)
    with serving(folder, "--writable") as running:
        yield running


def bench(server: Server, name: str, *flags: str) -> Report:
    """Return the report of a load that must go well."""
    host, port = server.address
    words = [sys.executable, "-m", "snowowl", "bench", "--json", *flags]
    done = run([*words, f"tftp://{host}:{port}/{name}"])
    assert done.returncode == 0, done.stdout + done.stderr
    report: Report = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("flags", "rung"),
    [
        (("-w", "8"), None),
        (("-w", "8", "--rung", "mmsg"), "mmsg"),
        (("-w", "8", "--rung", "portable"), "portable"),
        (("-w", "1"), "portable"),
        (("--no-options",), "portable"),
        (("-w", "8", "--loss", "1"), None),
    ],
)
def test_downloads(server: Server, flags: tuple[str, ...], rung: str | None) -> None:
    before = server.log().count("filename file: completed")
    report = bench(server, "file", "-c", "10", "-n", "25", *flags)
    transfers = {"begun": 25, "done": 25, "failed": 0, "unfinished": 0, "verified": None}
    assert report["transfers"] == transfers
    assert report["octets"] == 25 * len(CONTENT)
    assert rung in (None, report["rung"])
    server.wait_log("filename file: completed", before + 26)  # the first transfer, too


def test_a_download_that_is_compared_with_a_file(server: Server) -> None:
    report = bench(server, "copy", "--expect", str(server.root / "file"))
    assert report["transfers"]["done"] == 1
    server.wait_log("filename copy: completed")
    assert server.log().count("filename copy") == 1


@pytest.mark.parametrize("flags", [("-w", "8"), ("-w", "1", "--loss", "1"), ("--no-options",)])
def test_uploads(server: Server, flags: tuple[str, ...]) -> None:
    folder = server.root / "-".join(flags)
    folder.mkdir()
    load = ("--upload", "--size", "50k", "-c", "3", "-n", "7", *flags)
    assert bench(server, folder.name, *load)["transfers"]["verified"] == 7
    assert len({path.read_bytes() for path in folder.iterdir()}) == len(names_in(folder)) == 7
    assert {path.stat().st_size for path in folder.iterdir()} == {51_200}
