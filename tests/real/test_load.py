"""Many clients at once, and many after each other: all octets right, nothing left, nothing grows."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.real.harness import Server, eventually, names_in, serving
from tests.users import WARNING

pytestmark = pytest.mark.real

SWARM = Path(__file__).with_name("swarm.py")
MIB = 1 << 20


def swarm(
    direction: str,
    server: Server,
    folder: Path,
    names: Sequence[str],
    *,
    clients: int,
    transfers: int,
    blksize: int = 512,
) -> int:
    """Return how many transfers of a swarm of clients, in another process, went well."""
    host, port = server.address
    numbers = [str(number) for number in (port, clients, transfers, blksize)]
    command = [sys.executable, str(SWARM), direction, host, *numbers, str(folder), *names]
    result = subprocess.run(command, stdout=subprocess.PIPE, timeout=150, check=True)
    return int(result.stdout)


@pytest.mark.parametrize(
    ("tid", "count", "size"),
    [
        ("shared", 1000, MIB // 4),
        ("listen", 100, MIB),
        pytest.param("shared", 1000, MIB, marks=pytest.mark.slow),
    ],
)
def test_a_thousand_downloads_at_once(root: Path, tid: str, count: int, size: int) -> None:
    """A boot storm, compared block by block; a smaller one from the listening port."""
    (root / "kernel").write_bytes(os.urandom(size))
    config = f"[server]\ntid = '{tid}'\n[log]\nlevel = 'warning'\n"
    with serving(root, config=config) as server:
        args = {"clients": count, "transfers": count, "blksize": 1428}
        assert swarm("get", server, root, ["kernel"], **args) == count
        assert server.rss() < 200 * MIB
        warned = [line for line in server.log().splitlines() if "warning" in line.lower()]
        assert [line for line in warned if WARNING not in line] == []


class Watch(threading.Thread):
    """Looks at a folder all the time, and notes every name with every size that it is seen with."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.over = threading.Event()
        self.seen: dict[str, set[int]] = {}

    def run(self) -> None:
        while not self.over.wait(0.005):
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    self.seen.setdefault(entry.name, set()).add(entry.stat().st_size)


def test_two_hundred_uploads_at_once(root: Path, tmp_path: Path) -> None:
    sizes = (0, 1, 511, 512, 513, 5_000, 70_000, 300_000, MIB, 1_400_000)
    for size in sizes:
        (tmp_path / str(size)).write_bytes(os.urandom(size))
    names = [str(size) for size in sizes]
    watch = Watch(root)
    with serving(root, "--writable", "--quiet") as server:
        watch.start()
        try:
            good = swarm("put", server, tmp_path, names, clients=200, transfers=200, blksize=1428)
        finally:
            watch.over.set()
            watch.join(5)
        assert good == 200
    expected = {f"{names[index % len(names)]}-{index}" for index in range(200)}
    assert set(names_in(root)) == expected
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in names}
    for name in expected:
        octets = (root / name).read_bytes()
        assert hashlib.sha256(octets).digest() == digests[name.partition("-")[0]]
    # Whoever looked meanwhile saw whole files only, and none with another name.
    assert set(watch.seen) <= expected
    assert all(found == {int(name.partition("-")[0])} for name, found in watch.seen.items())


def test_ten_thousand_small_transfers(root: Path) -> None:
    """Memory and file descriptors stay as they were when the tables were full.

    The warm-up is longer than the table of peers that the server remembers (16384), each some
    hundred octets; what would grow by half a KiB for each transfer after that is found.
    """
    names = [f"file-{number}" for number in range(50)]
    for number, name in enumerate(names):
        (root / name).write_bytes(os.urandom(number * 40))
    with serving(root, "--quiet") as server:
        assert swarm("get", server, root, names, clients=40, transfers=18_000) == 18_000
        rss, descriptors = server.rss(), server.descriptors()
        assert swarm("get", server, root, names, clients=40, transfers=10_000) == 10_000
        assert server.rss() - rss < 5 * MIB
        assert eventually(lambda: server.descriptors() <= descriptors)


def test_small_uploads_leave_no_descriptor(root: Path, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(os.urandom(700))
    # Each upload dallies for some seconds after its end (RFC 1123 4.2.3.1), and is held that long.
    with serving(root, "--writable", "--quiet") as server:
        descriptors = server.descriptors()
        assert swarm("put", server, tmp_path, ["small"], clients=20, transfers=500) == 500
        assert eventually(lambda: server.descriptors() <= descriptors + 8)
    assert len(names_in(root)) == 500
