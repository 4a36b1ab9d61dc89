"""A whole load, on a simulated network with the real server: what is found, what is counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from snowowl.client.errors import ClientError, Reason
from snowowl.client.load import Load
from snowowl.client.load_options import LoadOptions
from snowowl.client.load_report import Report
from snowowl.client.options import ClientOptions
from snowowl.client.url import Target, parse_url
from snowowl.testing.determinism import inline
from snowowl.testing.link import Link
from snowowl.wire.codec import decode_request, encode_ack, opcode_of
from snowowl.wire.constants import Opcode
from snowowl.wire.packets import Mode
from tests.client.fake import (
    TID,
    URL,
    Answer,
    FakeNetwork,
    Resolver,
    data,
    reader,
    refuser,
    silent,
)
from tests.server.world import SERVER, World

PLAIN = ClientOptions.none()


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", inline())


async def loaded(network: FakeNetwork, options: LoadOptions, url: str = URL) -> Report:
    load = Load(parse_url(url), options, network)
    await load.run()
    assert network.all_closed
    return load.report()


class Site(World):
    """A server, and loads of it."""

    async def load(self, name: str, options: LoadOptions) -> Report:
        file, _, netascii = name.partition(";")
        mode = Mode.NETASCII if netascii else Mode.OCTET
        load = Load(Target(SERVER, 69, file.encode(), mode), options, self.network)
        await load.run()
        report = load.report()
        assert report.begun == report.done + report.failed + report.unfinished
        json.dumps(report.as_dict())
        return report


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[None]:
    async with site.serving():
        yield
    site.check()


# Downloads.


async def test_many_clients_and_every_octet(site: Site, autojump_clock: MockClock) -> None:
    octets = site.file("kernel", bytes(range(256)) * 100)
    async with serving(site):
        request = ClientOptions(blksize=1000, windowsize=4)
        report = await site.load("kernel", LoadOptions(clients=20, request=request))
    assert (report.done, report.failed, report.octets) == (20, 0, 20 * len(octets))
    assert (report.blocks, report.size) == (20 * 26, len(octets))
    assert report.digest == hashlib.sha256(octets).hexdigest()
    assert dict(report.granted) == {b"tsize": b"25600", b"blksize": b"1000", b"windowsize": b"4"}
    assert (report.sockets, report.latency.count, report.first_block.count) == (20, 20, 20)
    assert (report.duplicates, report.requests_resent, report.acks_resent) == (0, 0, 0)
    assert site.outcomes().count(site.outcomes()[0]) == 21  # the first transfer, too


async def test_a_storm_is_counted(site: Site, autojump_clock: MockClock) -> None:
    site.file("small", b"x" * 100)
    async with serving(site):
        options = LoadOptions(clients=5, seconds=1.0, request=PLAIN)
        report = await site.load("small", options)
    # A round trip is 2 ms, and each client is answered at once.
    assert report.seconds == pytest.approx(1.0)
    assert report.done == pytest.approx(5 * 500, rel=0.02)
    assert report.transfers_rate == pytest.approx(report.done)
    assert report.unfinished <= 5
    assert report.sockets == 20
    assert report.latency.quantile(0.5) == pytest.approx(0.002, rel=0.02)
    assert report.failed == report.requests_resent == 0


async def test_the_number_of_transfers_is_kept(site: Site, autojump_clock: MockClock) -> None:
    site.file("file", b"x" * 2000)
    async with serving(site):
        report = await site.load("file", LoadOptions(clients=3, transfers=10))
    assert (report.begun, report.done, report.octets) == (10, 10, 20_000)


async def test_under_loss_all_octets_come_all_the_same(
    site: Site, autojump_clock: MockClock
) -> None:
    octets = site.file("file", bytes(range(256)) * 400)
    options = LoadOptions(
        clients=8, transfers=16, loss_percent=5.0, request=ClientOptions(windowsize=8)
    )
    async with serving(site):
        report = await site.load("file", options)
    assert (report.done, report.failed, report.octets) == (16, 0, 16 * len(octets))
    assert report.lost_on_purpose > 16 * 70 * 0.02
    assert report.acks_resent > 0
    assert report.duplicates + report.out_of_order > 0


async def test_losses_of_the_network_are_seen(site: Site, autojump_clock: MockClock) -> None:
    site.file("file", b"x" * 50_000)
    async with serving(site):
        site.network.link = Link(duplication=1.0)
        report = await site.load("file", LoadOptions(clients=2, request=ClientOptions.none()))
        site.network.link = Link()
    assert report.done == 2
    assert report.duplicates >= 2 * 97
    assert report.lost_on_purpose == 0


async def test_the_end_of_time_ends_what_is_running(site: Site, autojump_clock: MockClock) -> None:
    site.file("file", b"x" * 512 * 1000)
    async with serving(site):
        report = await site.load("file", LoadOptions(clients=3, seconds=0.5, request=PLAIN))
        await trio.sleep(0.1)
        assert not site.drain.is_set()
        assert len(site.outcomes()) == 4  # the server was told: it waits for nobody
    assert (report.done, report.unfinished) == (0, 3)
    assert 0 < report.octets < 3 * 512_000


async def test_stopped_it_still_reports(autojump_clock: MockClock) -> None:
    network = FakeNetwork(reader(bytes(512 * 10)))
    load = Load(parse_url(URL), LoadOptions(expect=bytes(512 * 10), request=PLAIN), network)
    begun = trio.Event()

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if datagram == encode_ack(5):
            begun.set()
            return ()
        return reader(bytes(512 * 10))(peer, datagram)

    network.script = script
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await begun.wait()
        assert (load.stage, load.octets, load.done) == ("measuring", 5 * 512, 0)
        assert load.seconds(trio.current_time()) == 0.0
        load.stop()
    report = load.report()
    assert (report.interrupted, report.unfinished, report.octets) == (True, 1, 5 * 512)
    assert network.all_closed
    assert network.sent[-1][1:] == (TID, b"\0\5\0\0the measurement is over\0")


def test_before_it_runs_all_is_nothing() -> None:
    load = Load(parse_url(URL), LoadOptions())
    report = load.report()
    assert (report.begun, report.octets, report.size, report.digest) == (0, 0, None, None)
    assert (load.done, load.failed, load.octets, load.seconds(1.0)) == (0, 0, 0, 0.0)


# What is expected.


async def test_wrong_octets_are_found_with_their_offset(autojump_clock: MockClock) -> None:
    network = FakeNetwork(reader(b"a" * 700 + b"b" + b"a" * 400))
    options = LoadOptions(clients=3, expect=b"a" * 1101, request=PLAIN)
    report = await loaded(network, options)
    (failure,) = report.failures
    assert (failure.what, failure.count, report.failed) == ("wrong octets", 3, 3)
    assert failure.first.endswith(", file: wrong octets from offset 700 on")
    assert failure.error is None


async def test_without_a_file_the_first_transfer_says_what_is_right(
    autojump_clock: MockClock,
) -> None:
    requests = 0

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        nonlocal requests
        requests += opcode_of(datagram) == Opcode.RRQ
        return reader(b"right" if requests < 3 else b"wrong")(peer, datagram)

    report = await loaded(FakeNetwork(script), LoadOptions(transfers=4, request=PLAIN))
    assert (report.done, report.failed, report.size) == (1, 3, 5)
    assert report.digest == hashlib.sha256(b"right").hexdigest()


async def test_no_first_transfer_where_the_octets_are_known(autojump_clock: MockClock) -> None:
    network = FakeNetwork(reader(b"known"))
    report = await loaded(network, LoadOptions(expect=b"known", request=PLAIN))
    assert report.done == 1
    assert sum(opcode_of(octets) == Opcode.RRQ for _, _, octets in network.sent) == 1


async def test_netascii_is_compared_as_it_is_on_the_wire(
    site: Site, autojump_clock: MockClock
) -> None:
    site.file("text", b"a\nb\n")
    async with serving(site):
        report = await site.load("text;mode=netascii", LoadOptions(clients=2))
    assert (report.done, report.size, report.octets) == (2, 6, 12)


# Servers that do not do what they should.


@pytest.mark.parametrize("expect", [None, b"octets"])
async def test_a_silent_server_ends_it(autojump_clock: MockClock, expect: bytes | None) -> None:
    network = FakeNetwork(silent)
    options = LoadOptions(clients=4, seconds=1000.0, expect=expect)
    load = Load(parse_url(URL), options, network)
    began = trio.current_time()
    if expect is None:
        with pytest.raises(ClientError) as caught:
            await load.run()
        error = caught.value
    else:
        await load.run()
        (failure,) = load.report().failures
        assert failure.error is not None
        error = failure.error
    assert error.reason is Reason.TIMEOUT
    assert trio.current_time() - began < 60
    assert network.all_closed


async def test_a_refusal_of_the_first_transfer_is_the_end(autojump_clock: MockClock) -> None:
    network = FakeNetwork(refuser(1, "no such file"))
    with pytest.raises(ClientError, match="no such file") as caught:
        await Load(parse_url(URL), LoadOptions(clients=9), network).run()
    assert caught.value.code == 1
    assert len(network.endpoints) == 1


async def test_failures_in_a_row_end_it(autojump_clock: MockClock) -> None:
    options = LoadOptions(clients=3, seconds=1000.0, expect=b"x")
    report = await loaded(FakeNetwork(refuser(2)), options)
    (failure,) = report.failures
    assert failure.what == "access violation (server's error 2)"
    assert report.failed <= 6


def only(address: bytes, script: Callable[[bytes, bytes], Sequence[Answer]]) -> FakeNetwork:
    """Return a network where nobody listens but at one host."""

    def answer(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        return script(peer, datagram) if address in peer else ((peer, b""),)

    return FakeNetwork(answer)


@pytest.mark.parametrize("expect", [None, b"octets"])
async def test_the_next_address_is_tried_if_nobody_listens_at_the_first(
    autojump_clock: MockClock, expect: bytes | None
) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("2001:db8::1", "192.0.2.1"))
    network = only(bytes([192, 0, 2, 1]), reader(b"octets"))
    options = LoadOptions(clients=2, expect=expect, request=PLAIN)
    report = await loaded(network, options, "tftp://board/file")
    assert (report.done, report.failed) == (2, 0)


@pytest.mark.parametrize("expect", [None, b"octets"])
async def test_nobody_listens_anywhere(autojump_clock: MockClock, expect: bytes | None) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("2001:db8::1", "192.0.2.1"))
    network = only(b"nobody", silent)
    with pytest.raises(ClientError) as caught:
        await Load(parse_url("tftp://board/file"), LoadOptions(expect=expect), network).run()
    assert caught.value.reason is Reason.CONNECT
    assert network.all_closed


async def test_a_server_that_grants_no_window_is_loaded_in_lock_step(
    autojump_clock: MockClock,
) -> None:
    load = Load(parse_url(URL), LoadOptions(), FakeNetwork(reader(bytes(600))))
    assert load._windowsize() == 16
    await load.run()
    assert load._windowsize() == 1
    assert load.report().granted == ()


# Uploads.


async def test_uploads_are_read_back(site: Site, autojump_clock: MockClock) -> None:
    (site.root / "up").mkdir()
    options = LoadOptions(clients=3, transfers=7, upload_size=5000)
    async with serving(site):
        report = await site.load("up/", options)
    assert (report.upload, report.done, report.verified, report.failed) == (True, 7, 7, 0)
    assert (report.octets, report.blocks, report.size) == (35_000, 28, 5000)
    names = {path.name for path in (site.root / "up").iterdir()}
    assert names > {"bench-1-1", "bench-1-2", "bench-2-1", "bench-2-2", "bench-3-1", "bench-3-2"}
    contents = {(site.root / "up" / name).read_bytes() for name in names}
    assert len(contents) == 7
    assert {len(octets) for octets in contents} == {5000}


async def test_an_upload_that_was_stored_wrong_is_found(
    site: Site, autojump_clock: MockClock
) -> None:
    options = LoadOptions(clients=1, transfers=3, upload_size=900, upload_name="u{client}{n}")

    def spoil(event: object) -> None:
        path = site.root / "u12"
        if path.exists() and path.stat().st_size == 900:
            path.write_bytes(b"?" * 900)

    site.listeners.append(spoil)
    async with serving(site):
        report = await site.load("", options)
    assert (report.done, report.failed, report.verified) == (3, 0, 2)
    (failure,) = report.failures
    assert failure.what == "read back: wrong octets"
    assert "u12" in failure.first
    assert failure.error is None


async def test_uploads_may_be_left_unread(site: Site, autojump_clock: MockClock) -> None:
    async with serving(site):
        report = await site.load("", LoadOptions(upload_size=0, verify=False))
    assert (report.done, report.verified) == (1, None)
    assert (site.root / "bench-1-1").read_bytes() == b""


async def test_uploads_under_loss(site: Site, autojump_clock: MockClock) -> None:
    options = LoadOptions(clients=4, upload_size=60_000, loss_percent=3.0)
    async with serving(site):
        report = await site.load("", options)
    assert (report.done, report.verified, report.failed) == (4, 4, 0)
    assert report.blocks_resent > 0
    assert report.lost_on_purpose > 0


async def test_a_name_that_is_taken_is_a_failure(site: Site, autojump_clock: MockClock) -> None:
    site.file("bench-1-1", b"mine")
    async with serving(site):
        report = await site.load("", LoadOptions(transfers=2, upload_size=10))
    assert (report.done, report.failed, report.verified) == (0, 1, 0)
    (failure,) = report.failures
    assert failure.error is not None
    assert failure.error.code == 6
    assert (site.root / "bench-1-1").read_bytes() == b"mine"


async def test_uploads_ask_for_what_they_announce(autojump_clock: MockClock) -> None:
    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if opcode_of(datagram) == Opcode.WRQ:
            return ((TID, encode_ack(0)),)
        return ((TID, encode_ack(int.from_bytes(datagram[2:4], "big"))),)

    network = FakeNetwork(script)
    report = await loaded(network, LoadOptions(upload_size=700, verify=False))
    request = decode_request(network.sent[0][2])
    assert dict(request.options)[b"tsize"] == b"700"
    assert report.asked == request.options
    assert data(1, b"")[:4] == network.sent[1][2][:4]
