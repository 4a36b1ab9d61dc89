"""Datagrams that no honest client sends, against a running server; after each the next is served."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.harness import (
    Peer,
    RefusedError,
    Server,
    ack,
    data,
    error,
    error_code,
    fetch,
    option_ack,
    read_on,
    rrq,
    serving,
    wrq,
)

pytestmark = pytest.mark.real

CONTENT = bytes(range(256)) * 5


@pytest.fixture(scope="module", params=["shared", "listen"])
def running(request: pytest.FixtureRequest, shared_root: Path) -> Iterator[Server]:
    (shared_root / "good").write_bytes(CONTENT)
    config = f"[server]\ntid = '{request.param}'\n[write]\nenabled = true\n"
    config += "[protocol]\ntimeout_max_seconds = 255\n"
    config += "[limits]\nerrors_per_second = 0\n"  # all that is sent here is of one address
    with serving(shared_root, config=config) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """Prove after each test that a good request is still answered, and nothing was left."""
    yield running
    assert fetch(running.address, b"good") == CONTENT
    assert [path.name for path in running.root.iterdir()] == ["good"]


VALID = rrq(b"good", ("blksize", 1000))
SILENT = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\0", id="one octet"),
    pytest.param(b"\1", id="one odd octet"),
    pytest.param(ack(0), id="ACK"),
    pytest.param(ack(1), id="ACK 1, as tftp-hpa sends after an ERROR"),
    pytest.param(data(1, b"x" * 512), id="DATA"),
    pytest.param(data(0, b""), id="empty DATA"),
    pytest.param(error(0, b"no"), id="ERROR"),
    pytest.param(b"\0\5", id="ERROR without code"),
    pytest.param(error(5, b"unknown transfer ID"), id="ERROR 5"),
    pytest.param(b"\0\6blksize\x001000\0", id="OACK"),
    pytest.param(b"\0\6", id="empty OACK"),
]
REFUSED = [
    pytest.param(b"\0\1", id="RRQ, nothing else"),
    pytest.param(b"\0\1\0", id="RRQ with one NUL"),
    pytest.param(b"\0\2\0\0", id="WRQ with two NULs"),
    pytest.param(b"\0\1abc", id="no NUL"),
    pytest.param(b"\0\1" + b"a" * 9000, id="9 kB without NUL"),
    pytest.param(b"\0\1good\0", id="no mode"),
    pytest.param(b"\0\1good\0octet", id="mode without NUL"),
    pytest.param(rrq(b"good", mode=b"mail"), id="mail"),
    pytest.param(wrq(b"someone", mode=b"MAIL"), id="mail, written"),
    pytest.param(rrq(b"good", mode=b"binary"), id="unknown mode"),
    pytest.param(rrq(b"good", mode=b"\xff" * 3000), id="mode of 3 kB"),
    pytest.param(b"\0\7" + VALID[2:], id="opcode 7 (EDK2's READ_DIRECTORY)"),
    pytest.param(b"\0\x08" + VALID[2:], id="opcode 8"),
    pytest.param(b"\0\x09" + VALID[2:], id="opcode 9"),
    pytest.param(b"\xff\xff" + VALID[2:], id="opcode 65535"),
    pytest.param(b"\0\0" + VALID[2:], id="opcode 0"),
    pytest.param(b"\1\1" + VALID[2:], id="opcode 257"),
]


@pytest.mark.rule("R8")
@pytest.mark.parametrize("packet", SILENT)
def test_no_answer(server: Server, packet: bytes) -> None:
    with Peer() as peer:
        peer.send(packet, server.address)
        assert peer.hears_nothing(0.1)


@pytest.mark.parametrize("packet", REFUSED)
def test_illegal_operation(server: Server, packet: bytes) -> None:
    """ERROR 4, short, and once."""
    with Peer() as peer:
        answer, source = peer.ask(packet, server.address)
        assert error_code(answer) == 4
        assert len(answer) < 150
        assert source == server.address
        assert peer.hears_nothing(0.05)


def test_noise(server: Server) -> None:
    """Random octets, and valid requests that were cut and bent."""
    chance = random.Random(20)
    with Peer() as peer:
        for _ in range(600):
            noise = chance.randbytes(chance.choice((1, 2, 3, 4, 5, 6, 40, 600, 9000)))
            peer.send(noise, server.address)
        for _ in range(600):
            bent = bytearray(rrq(b"nosuch", ("blksize", 1428), ("tsize", 0)))
            for _ in range(chance.randint(1, 4)):
                bent[chance.randrange(len(bent))] = chance.randrange(256)
            del bent[chance.randint(1, len(bent)) :]
            peer.send(bytes(bent), server.address)


@pytest.mark.rule("R13")
def test_padding_after_a_name(server: Server) -> None:
    """Intel's boot ROMs send 0xFF after the name; a name that is 0xFF throughout is none."""
    for padded in (b"good\xff", b"good\xff\xff \r\n", b"/good", b"//good", b".\\good", b"./good"):
        assert fetch(server.address, padded) == CONTENT
    for name in (b"\xff" * 40, b"", b"/", b"\\", b".", b"\x01"):
        with pytest.raises(RefusedError) as refused:
            fetch(server.address, name)
        assert refused.value.code == 1


@pytest.mark.rule("R12")
@pytest.mark.parametrize("length", [255, 256, 511, 4095, 5000, 60000])
def test_long_names(server: Server, length: int) -> None:
    for name in (b"n" * length, b"d/" * (length // 2), b"\xe4" * length):
        with pytest.raises(RefusedError) as refused:
            fetch(server.address, name)
        assert refused.value.code == 1
        assert len(refused.value.text) < 100


BAD_OPTIONS = [
    *[("blksize", value) for value in ("abc", -1, 0, 7, "", "1e3", " 512", "99999999999999999999")],
    *[("blksize", value) for value in ("9" * 5000, "\u0663", "0x200")],
    *[("windowsize", value) for value in (0, -1, 70000, "x")],
    *[("timeout", value) for value in (0, 256, 3000, -5, "5s")],
    *[("tsize", value) for value in ("x", -1, "18446744073709551616")],
    *[("rollover", value) for value in (2, "x")],
    ("", "512"),
    ("msftwindow", "31416"),
    ("multicast", ""),
    ("x" * 3000, "y" * 3000),
]


@pytest.mark.rule("R2")
@pytest.mark.parametrize(("name", "value"), BAD_OPTIONS, ids=lambda part: str(part)[:20])
def test_option_that_is_left_out(server: Server, name: str, value: object) -> None:
    """An option that is nonsense is not granted, and refuses nothing: DATA 1 comes at once."""
    with Peer() as peer:
        packet, source = peer.ask(rrq(b"good", (name, value)), server.address)
        if name == "tsize" and packet[:2] == b"\0\6":
            # A server answers tsize with the size, whatever an RRQ says; no tsize is as good.
            assert option_ack(packet) == {b"tsize": b"1280"}
            packet, source = peer.ask(ack(0), source)
        assert read_on(peer, packet, source) == CONTENT


@pytest.mark.rule("R1")
def test_options_that_are_made_smaller(server: Server) -> None:
    for asked, granted in (
        (("blksize", 65536), b"blksize"),
        (("windowsize", 65535), b"windowsize"),
    ):
        with Peer() as peer:
            packet, source = peer.ask(rrq(b"good", asked), server.address)
            if packet[:2] == b"\0\6":
                assert int(option_ack(packet)[granted]) <= asked[1]
            peer.send(error(0), source)


@pytest.mark.rule("R1")
def test_an_option_that_is_asked_for_twice(server: Server) -> None:
    with Peer() as peer:
        request = rrq(b"good", ("blksize", 1000), ("tsize", 0), ("BLKSIZE", 600))
        packet, source = peer.ask(request, server.address)
        assert packet == b"\0\6blksize\x001000\0tsize\x001280\0"
        packet, source = peer.ask(ack(0), source)
        assert read_on(peer, packet, source, 1000) == CONTENT


@pytest.mark.parametrize("packet", [rrq(b"good", *[(f"opt{n}", n) for n in range(1000)])])
def test_ten_kilobytes_of_options(server: Server, packet: bytes) -> None:
    assert len(packet) > 10_000
    with Peer() as peer:
        answer, source = peer.ask(packet, server.address)
        assert read_on(peer, answer, source) == CONTENT


@pytest.mark.rule("R7")
def test_a_wrong_tid_harms_no_transfer(server: Server) -> None:
    with Peer() as peer, Peer() as stranger:
        packet, source = peer.ask(rrq(b"good"), server.address)
        assert packet == data(1, CONTENT[:512])
        for stray in (ack(1), data(1, b"x"), ack(9)):
            stranger.send(stray, source)
            if source == server.address:  # the listening port: rule R8 holds
                assert stranger.hears_nothing(0.05)
            else:
                assert error_code(stranger.receive()[0]) == 5
        for stray in (error(0, b"die"), error(5), error(8), b"", b"\0", b"\0\6"):
            stranger.send(stray, source)
        assert stranger.hears_nothing(0.05)
        assert read_on(peer, packet, source) == CONTENT


def test_nonsense_from_the_peer_itself(server: Server) -> None:
    """What has no place in a transfer is ignored, and the transfer goes on."""
    with Peer() as peer:
        packet, source = peer.ask(rrq(b"good"), server.address)
        for odd in (b"", b"\0", b"\0\4", b"\0\4\0", ack(0), ack(77), b"\xff\xff", data(1, b"x")):
            peer.send(odd, source)
        assert peer.hears_nothing(0.05)
        assert read_on(peer, packet, source) == CONTENT


def test_too_much_data(server: Server) -> None:
    """A DATA longer than blksize is refused, and leaves no file."""
    with Peer() as peer:
        packet, source = peer.ask(wrq(b"new"), server.address)
        assert packet == ack(0)
        answer, _ = peer.ask(data(1, b"x" * 513), source)
        assert error_code(answer) == 4
    assert not (server.root / "new").exists()


@pytest.mark.rule("R4")
@pytest.mark.parametrize("refusal", [error(8, b"User aborted the transfer"), b"\0\5\0\0", error(0)])
def test_a_probe_for_the_size(server: Server, refusal: bytes) -> None:
    """UEFI, PXE and barebox break off after the OACK; curl's ERROR has no text at all."""
    with Peer() as peer:
        packet, source = peer.ask(rrq(b"good", ("tsize", 0), ("blksize", 1468)), server.address)
        assert option_ack(packet) == {b"tsize": b"1280", b"blksize": b"1468"}
        peer.send(refusal, source)
        assert peer.hears_nothing(0.05)
        packet, source = peer.ask(rrq(b"good"), server.address)
        assert read_on(peer, packet, source) == CONTENT
        log = server.wait_log(f"from {peer.address[0]}:{peer.address[1]} ", 2)
    lines = [line for line in log.splitlines() if f":{peer.address[1]} " in line]
    assert "probed" in lines[0]
    assert "[info" in lines[0]


@pytest.mark.rule("R3")
def test_tsize_is_left_out_when_it_is_zero(root: Path) -> None:
    """curl takes tsize=0 for an error."""
    (root / "empty").write_bytes(b"")
    with serving(root) as server, Peer() as peer:
        packet, source = peer.ask(rrq(b"empty", ("tsize", 0)), server.address)
        assert packet == data(1, b"")
        peer.send(ack(1), source)
        packet, source = peer.ask(rrq(b"empty", ("tsize", 0), ("blksize", 600)), server.address)
        assert option_ack(packet) == {b"blksize": b"600"}
