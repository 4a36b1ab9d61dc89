"""A simulation repeats itself exactly, replaces all that could differ, and notices what is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

import snowowl
from snowowl.config import ServerConfig, WriteConfig
from snowowl.content.temporary import Temporary
from snowowl.testing.link import Link
from snowowl.testing.simnetwork import SimNetwork
from snowowl.testing.simulation import HangError, LeftoverError, Simulation, simulate

ROOT = Path(__file__).parents[2]
BAD = Link(loss=0.05, duplication=0.05, reordering=0.1, corruption=0.01)


async def fetch_much(simulation: Simulation, folder: Path) -> str:
    """Serve and fetch by several clients at once; return the digest of it."""
    (folder / "file").write_bytes(bytes(range(256)) * 400)
    config = snowowl.Config(server=ServerConfig(root=folder), write=WriteConfig(enabled=True))
    simulation.disk.seconds, simulation.disk.cold = 0.01, 0.3
    async with trio.open_nursery() as nursery:
        await nursery.start(snowowl.serve, config)
        async with trio.open_nursery() as clients:
            for number in range(5):
                network = simulation.host(f"192.0.2.{number + 10}")
                clients.start_soon(partial(snowowl.get, "tftp://192.0.2.1/file", network=network))
        nursery.cancel_scope.cancel()
    return simulation.trace.digest


def digest(folder: Path, seed: int) -> str:
    return simulate(partial(fetch_much, folder=folder), seed=seed, link=BAD)


def test_a_seed_gives_the_same_run_in_every_process(tmp_path: Path) -> None:
    """Whatever Python's hash seed is, and whatever ran before."""
    first = digest(tmp_path, 1)
    assert digest(tmp_path, 2) != first
    assert digest(tmp_path, 1) == first
    code = "import sys, pathlib; from tests.testing.test_simulation import digest;"
    code += "print(digest(pathlib.Path(sys.argv[1]), 1))"
    other = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == first


def test_programs_need_not_name_a_network_and_names_are_not_the_worlds() -> None:
    async def program(simulation: Simulation) -> list[str]:
        simulation.names["lab"] = ("2001:db8::1", "192.0.2.1")
        found = await trio.socket.getaddrinfo("lab", 69, type=socket.SOCK_DGRAM)
        with pytest.raises(snowowl.ClientError, match=r"cannot resolve snowowl\.example"):
            await snowowl.get("tftp://snowowl.example/file")
        with pytest.raises(snowowl.ClientError, match="nobody listens"):
            await snowowl.put(b"octets", "tftp://lab/file")
        assert await trio.socket.getnameinfo(("192.0.2.1", 69), 0) == ("192.0.2.1", "69")
        return [str(entry[4][0]) for entry in found]

    assert simulate(program) == ["2001:db8::1", "192.0.2.1"]


def test_no_thread_is_used_whoever_asks_for_one(tmp_path: Path) -> None:
    async def program(simulation: Simulation) -> float:
        path = trio.Path(tmp_path, "file")  # imports the function by its name
        await path.write_bytes(b"octets")
        async with await trio.open_file(path, "rb") as file:
            assert await file.read() == b"octets"
        assert await trio.to_thread.run_sync(threading.get_ident) == threading.get_ident()
        return simulation.now

    assert simulate(program) == 0.0


def test_hours_take_no_time_and_a_program_that_hangs_is_told() -> None:
    async def sleep(simulation: Simulation) -> float:
        await trio.sleep(5 * 86400)
        return simulation.now

    assert simulate(sleep) == 5 * 86400

    async def hang(_: Simulation) -> None:
        await trio.sleep_forever()

    with pytest.raises(HangError, match="100 virtual seconds") as caught:
        simulate(hang, seed=42, seconds_max=100)
    assert "seed=42, for 100.000000 virtual seconds" in caught.value.__notes__[0]


def test_a_program_that_does_not_listen_to_its_end_hangs_all_the_same() -> None:
    async def shielded(_: Simulation) -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
        return "late"

    async def deaf(_: Simulation) -> str:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return "it was nothing"

    for program in (shielded, deaf):
        with pytest.raises(HangError, match="not ended after 50 virtual seconds"):
            simulate(program, seconds_max=50)


def test_it_is_not_for_use_inside_trio() -> None:
    async def nothing(_: Simulation) -> None: ...

    async def inside() -> None:
        simulate(nothing)

    with pytest.raises(RuntimeError, match="call it from a plain function, not inside Trio"):
        trio.run(inside)


def test_what_is_left_open_is_told(tmp_path: Path) -> None:
    async def forget(simulation: Simulation) -> None:
        simulation.network.bind("192.0.2.5", 77)

    with pytest.raises(LeftoverError, match=r"192\.0\.2\.5:77"):
        simulate(forget)
    descriptors = []

    async def leak(_: Simulation) -> None:
        descriptors.append(os.open(tmp_path, os.O_RDONLY))

    with pytest.raises(LeftoverError, match=tmp_path.name):
        simulate(leak)
    os.close(descriptors[0])


def test_all_is_as_it_was_afterwards() -> None:
    before = trio.to_thread.run_sync, Temporary.write

    async def fail(_: Simulation) -> None:
        assert trio.to_thread.run_sync is not before[0]
        assert Temporary.write is not before[1]
        raise ValueError("as planned")

    with pytest.raises(ValueError, match="as planned"):
        simulate(fail)
    assert (trio.to_thread.run_sync, Temporary.write) == before


def test_a_disk_is_slow_full_and_broken_as_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100_000))
    config = snowowl.Config(server=ServerConfig(root=tmp_path), write=WriteConfig(enabled=True))

    async def program(simulation: Simulation) -> list[str]:
        disk, told = simulation.disk, []
        async with trio.open_nursery() as nursery:
            await nursery.start(snowowl.serve, config)

            async def tell(name: str, octets: bytes | None = None) -> None:
                try:
                    if octets is None:
                        await snowowl.get(f"tftp://192.0.2.1/{name}")
                    else:
                        await snowowl.put(octets, f"tftp://192.0.2.1/{name}")
                except snowowl.ClientError as error:
                    told.append(str(error).partition(" (")[0])
                else:
                    told.append("fine")

            disk.full = 1.0
            await tell("up", b"x")
            disk.full, disk.broken = 0.0, 1.0
            await tell("up", b"x")
            disk.cold = 1.0
            await tell("large")
            disk.broken, disk.seconds = 0.0, 20.0
            began = simulation.now
            await tell("large")
            assert 1 < simulation.now - began < 60
            nursery.cancel_scope.cancel()
        assert {"ENOSPC", "EIO", "cold", "slow"} <= set(disk.faults)
        return told

    told = simulate(program, seed=1)
    assert told == [
        "disk full or allocation exceeded",
        "undefined error",
        "undefined error",
        "fine",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


def test_a_file_that_was_cut_short_is_not_touched(tmp_path: Path) -> None:
    """The kernel answers EFAULT for it; Python would die of SIGBUS."""
    path = tmp_path / "large"
    path.write_bytes(bytes(200_000))

    async def program(simulation: Simulation) -> None:
        simulation.network.link = Link(delay_seconds=0.1)

        async def cut_short() -> None:
            await trio.sleep(0.5)
            os.truncate(path, 10_000)

        async with trio.open_nursery() as nursery:
            config = snowowl.Config(server=ServerConfig(root=tmp_path))
            await nursery.start(snowowl.serve, config)
            nursery.start_soon(cut_short)
            with pytest.raises(snowowl.ClientError, match="file changed while it was sent"):
                await snowowl.get("tftp://192.0.2.1/large")
            nursery.cancel_scope.cancel()

    simulate(program, network=SimNetwork(1))
