"""The server for tests: in memory and from a folder, under Trio and in a thread, on real sockets."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import snowowl
from snowowl.client.errors import ClientError
from snowowl.client.options import ClientOptions
from snowowl.server.errors import ListenError
from snowowl.testing.faults import (
    FaultError,
    Verdict,
    faulty_server,
    faulty_server_thread,
)
from snowowl.testing.simnetwork import SimNetwork
from tests.faults.world import FILE, PLAIN, SERVER

pytestmark = pytest.mark.real


async def test_with_trio_on_real_sockets() -> None:
    async with faulty_server({"f": FILE}, "stray-data") as server:
        received = await snowowl.get(server.url("f"), options=PLAIN)
    (transfer,) = server.transfers
    assert received.octets == FILE
    assert transfer.verdict is Verdict.RECOVERED, transfer.why
    assert "answered the stray TID by ERROR 5" in transfer.did
    assert transfer.as_dict()["verdict"] == "RECOVERED"


async def test_checksums_are_left_out_and_a_frame_is_exceeded() -> None:
    """What the simulated network cannot show."""
    async with faulty_server({"f": FILE * 40}, ["checksum-zero", "jumbo"]) as server:
        options = ClientOptions(blksize=20000)
        for _ in range(2):
            assert (await snowowl.get(server.url("f"), options=options)).octets == FILE * 40
    assert [one.verdict for one in server.transfers] == [Verdict.RECOVERED] * 2


@pytest.mark.parametrize("fault", ["port-closed", "error", "silence:block=0"])
async def test_what_ends_a_transfer_ends_no_server(fault: str) -> None:
    async with faulty_server({"f": FILE}, fault) as server:
        for _ in range(2):
            with pytest.raises(ClientError):
                await snowowl.get(server.url("f"), options=ClientOptions.none(retries=0))
            await server.settle()
    assert [one.verdict for one in server.transfers] == [Verdict.ENDED] * 2


async def test_ipv6() -> None:
    async with faulty_server({"f": FILE}, "two-answers", listen="[::1]:0") as server:
        assert server.host == "::1"
        assert (await snowowl.get(server.url("f"))).octets == FILE
    assert server.transfers[0].verdict is Verdict.RECOVERED


def test_in_a_thread() -> None:
    threads = threading.active_count()
    with faulty_server_thread({"f": FILE}, "oack-order") as server:
        assert trio.run(snowowl.get, server.url("f")).octets == FILE
        assert server.settle()[0].verdict is Verdict.RECOVERED
        trio.run(snowowl.put, b"up", server.url("u"))
        assert dict(server.uploads) == {"u": b"up"}
    assert [one.fault for one in server.transfers] == ["oack-order"] * 2
    assert threading.active_count() == threads


def test_a_thread_that_cannot_start() -> None:
    threads = threading.active_count()
    with pytest.raises(FaultError, match="no fault 'nope'"), faulty_server_thread({}, "nope"):
        pass
    assert threading.active_count() == threads


def test_a_thread_whose_test_fails() -> None:
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), faulty_server_thread({}, "silence") as server:
        _ = 1 // len(server.transfers)
    assert threading.active_count() == threads


async def test_an_address_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{sock.getsockname()[1]}"
        with pytest.RaisesGroup(
            pytest.RaisesExc(ListenError, match="another server"), flatten_subgroups=True
        ):
            async with faulty_server({}, "silence", listen=listen):
                pass


async def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(FILE * 200)
    (tmp_path / "text").write_bytes(b"one\ntwo\n")
    async with faulty_server(tmp_path, "oack-order") as server:
        assert (await snowowl.get(server.url("big"))).octets == FILE * 200
        text = await snowowl.get(server.url("text") + ";mode=netascii")
        assert text.octets == b"one\ntwo\n"
        await snowowl.put(FILE, server.url("up"))
        await snowowl.put(b"a\nb", server.url("up2") + ";mode=netascii")
        with pytest.raises(ClientError, match="file not found"):
            await snowowl.get(server.url("../etc/passwd".replace("..", "x")))
        with pytest.raises(ClientError, match="access violation"):
            await snowowl.get(server.url("../etc/passwd"))
    assert (tmp_path / "up").read_bytes() == FILE
    assert (tmp_path / "up2").read_bytes() == b"a\nb"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big", "text", "up", "up2"]


async def test_a_name_chooses(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    async with faulty_server({"d/f": FILE}, listen=f"{SERVER}:69", network=network) as server:
        url = server.url("d/f", "lost-data:block=1")
        assert url.endswith("/lost-data:block=1/d/f")
        await snowowl.get(url, options=PLAIN, network=network)
        for wrong, message in (
            ("lost-dta:block=1", "did you mean lost-data"),
            ("lost-data:blok=1", "no parameter 'blok'"),
        ):
            with pytest.raises(ClientError, match=message):
                await snowowl.get(server.url("f", wrong), options=PLAIN, network=network)
    assert [one.fault for one in server.transfers] == ["lost-data:block=1"]
    assert server.transfers[0].filename == b"d/f"


async def test_a_missing_file_is_not_a_fault(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    async with faulty_server({}, "lost-data", listen=f"{SERVER}:69", network=network) as server:
        with pytest.raises(ClientError, match="file not found"):
            await snowowl.get(server.url("f"), network=network)
    (judged,) = server.transfers
    assert (judged.verdict, judged.why) == (Verdict.NOT_REACHED, "ERROR 1: file not found")


async def test_it_ends_at_once_however_long_its_clients_wait(autojump_clock: MockClock) -> None:
    network = SimNetwork()
    before = trio.current_time()
    async with (
        faulty_server({"f": FILE}, "silence", listen=f"{SERVER}:69", network=network) as server,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_get, server.url("f"), network)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - before < 1
    assert len(server.transfers) == 1


async def _get(url: str, network: SimNetwork) -> None:
    await snowowl.get(url, network=network)
