"""A server in a thread, on real sockets of loopback, as a test uses it."""

from __future__ import annotations

import inspect
import math
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowowl.config import Config, ConfigError, ProtocolConfig
from snowowl.content.store import Store
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server.errors import ListenError, RootError
from snowowl.testing.testserver import Server, ServerFailedError, Settings, Tid, serving
from tests.real.harness import (
    Address,
    Peer,
    RefusedError,
    ack,
    data,
    error_code,
    fetch,
    option_ack,
    read_on,
    rrq,
    store,
)

pytestmark = pytest.mark.real

FILES = {"uImage": b"kernel" * 1000, "dtb/board.dtb": b"tree"}


def at(server: Server) -> Address:
    return server.host, server.port


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread, no descriptor, no temporary folder, whatever a test does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors()
    yield
    assert not [each for each in threading.enumerate() if each.name == "snowowl server"]
    assert not list(tmp_path.glob("snowowl-test-*"))
    assert descriptors() == before


def test_a_boot_is_served_recorded_and_asserted() -> None:
    with serving(FILES) as server:
        assert fetch(at(server), b"uImage", ("blksize", 1428), ("foo", 1)) == FILES["uImage"]
        assert fetch(at(server), b"\\dtb\\board.dtb\xff") == b"tree"
        with pytest.raises(RefusedError):
            fetch(at(server), b"pxelinux.cfg/default")
        kernel, tree = server.wait_for_all("uImage", "dtb/*")
        server.wait_until_quiet(0.01)
        assert server.requested == ["uImage", "dtb/board.dtb", "pxelinux.cfg/default"]
        server.assert_requested("uImage", "pxelinux.cfg/*")
        server.assert_complete("uImage", "dtb/board.dtb")
        server.assert_not_requested("recovery.img")
        with pytest.raises(AssertionError, match="was asked for"):
            server.assert_not_requested()
        with pytest.raises(AssertionError, match="not in this order"):
            server.assert_requested("dtb/*", "uImage")
        with pytest.raises(AssertionError, match="see below how that ended"):
            server.assert_complete("pxelinux.cfg/default")
    assert kernel.asked == {"blksize": "1428", "foo": "1"}
    assert kernel.got == {"blksize": "1428"}
    assert (kernel.octets, kernel.complete) == (6000, True)
    assert kernel.client.startswith("127.0.0.1:")
    assert tree.filename == b"\\dtb\\board.dtb\xff"
    assert "completed" in server.log()


def test_what_has_not_come_is_waited_for() -> None:
    with serving(FILES) as server:
        to = at(server)
        client = threading.Timer(0.02, fetch, [to, b"uImage"])
        client.start()
        assert server.wait_for("uImage", timeout=math.inf).octets == 6000
        client.join()


def test_a_wait_that_fails_tells_what_came_instead() -> None:
    with serving(FILES) as server:
        with pytest.raises(AssertionError, match="Nothing at all was asked for at 127"):
            server.wait_for("uImage", timeout=0.01)
        with Peer() as peer:
            peer.ask(b"\0\11", at(server))
        with pytest.raises(AssertionError, match="1 datagrams were no requests, the last one from"):
            server.wait_for("uImage", timeout=0.01)
        with pytest.raises(RefusedError):
            fetch(at(server), b"uimage")
        with pytest.raises(AssertionError, match=r"(?s)within 0\.01 s.*another name for uimage"):
            server.wait_for("uImage", timeout=0.01)
        assert server.wait_for("uimage", until="ended").outcome is not None
        with Peer() as peer:
            peer.send(rrq(b"uImage"), at(server))
            server.wait_for("uImage", until="requested")
            with pytest.raises(AssertionError, match="1 of its 1 transfers still run"):
                server.wait_for("uImage", timeout=0.01)
            with pytest.raises(AssertionError, match=r"not quiet for 0 s within 0\.01 s"):
                server.wait_until_quiet(0, timeout=0.01)


def test_files_change_between_boots_and_not_within_one() -> None:
    with serving({"x": b"old" * 400}) as server, Peer() as peer:
        first, source = peer.ask(rrq(b"x"), at(server))
        server.files["x"] = b"new"
        server.files["later"] = b"made while it runs"
        assert read_on(peer, first, source) == b"old" * 400
        server.wait_for("x")
        server.clear()
        assert not server.transfers
        assert fetch(at(server), b"x") == b"new"
        assert fetch(at(server), b"later") == b"made while it runs"
        del server.files["x"]
        with pytest.raises(RefusedError):
            fetch(at(server), b"x")
        server.wait_until_quiet(0.01)
        assert server.requested == ["x", "later", "x"]


def test_uploads_are_waited_for_and_read() -> None:
    with serving({"log": b"old"}, writable=True) as server:
        store(at(server), b"log", b"new")
        assert server.wait_for_upload("log") == b"new"
        assert server.uploaded("log") == b"new"
        with pytest.raises(AssertionError, match="other was not uploaded completely"):
            server.uploaded("other")
        with pytest.raises(AssertionError, match="log was asked for"):
            server.assert_not_requested("log")
        assert server.requested == []


def test_uploads_are_refused_unless_they_are_wanted() -> None:
    with serving() as server:
        with pytest.raises(RefusedError, match="ERROR 2"):
            store(at(server), b"log", b"new")
        server.wait_until_quiet(0.01)
        with pytest.raises(AssertionError, match=r"(?s)log was not uploaded.*refused"):
            server.wait_for_upload("log", timeout=0)


def test_a_folder_is_copied_or_served_in_place(tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    (build / "uImage").write_bytes(b"kernel")
    with serving(build) as server:
        assert server.root != build
        assert fetch(at(server), b"uImage") == b"kernel"
    with serving({"made": b"here"}, root=build) as server:
        assert server.root == build
        assert dict(server.files) == {"made": b"here", "uImage": b"kernel"}
    assert (build / "made").read_bytes() == b"here", "what is in a root of one's own stays"


def test_a_server_that_ends_by_itself_fails_the_waits_and_the_block() -> None:
    server = serving().start()
    server.records.fail(OSError("no more sockets"))
    with pytest.raises(ServerFailedError, match="no more sockets") as caught:
        server.wait_for("x")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ServerFailedError, match="the server ended"):
        server.__exit__(None, None, None)


def test_a_crash_is_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("planted")

    def boot() -> None:
        with serving(FILES) as server, Peer() as peer:
            monkeypatch.setattr(Store, "open_now", crash)
            peer.send(rrq(b"uImage"), at(server))
            server.wait_for("uImage")

    with pytest.raises(ServerFailedError) as caught:
        boot()
    assert "planted" in repr(caught.value.__cause__)


def test_a_bug_of_the_server_fails_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def boot() -> None:
        with serving(FILES) as server:
            monkeypatch.setattr(Store, "open_now", broken)
            with pytest.raises(RefusedError):
                fetch(at(server), b"uImage")

    with pytest.raises(ServerFailedError, match=r"(?s)bugs of its own.*ZeroDivisionError"):
        boot()


def test_a_failure_in_the_block_goes_first_and_mentions_the_server() -> None:
    def boot() -> None:
        with serving() as server:
            server.records.fail(OSError("no more sockets"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        boot()
    assert "no more sockets" in caught.value.__notes__[0]


def test_who_is_served_when_the_block_ends_is_told() -> None:
    with Peer() as peer:
        with serving(FILES) as server:
            peer.ask(rrq(b"uImage"), at(server))
        packet, _ = peer.receive()
        assert error_code(packet) == 0
        (transfer,) = server.transfers
        assert transfer.outcome is not None
        assert transfer.outcome.kind is OutcomeKind.STOPPED


def test_an_address_that_is_taken_is_told() -> None:
    with Peer() as peer, pytest.raises(ListenError, match="another server has this port"):
        serving(listen=f"127.0.0.1:{peer.address[1]}").start()


def test_a_root_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(RootError, match="no such directory"):
        serving(root=tmp_path / "missing").start()


def test_files_that_are_none_are_told_before_anything_starts() -> None:
    server = serving({"../x": b""})
    with pytest.raises(ValueError, match="is no name of a file"):
        server.start()
    server.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"listen": "nonsense"}, "nonsense"),
        ({"listen": ()}, "listen"),
        ({"tid": "elsewhere"}, "shared"),
        ({"config": Config(protocol=ProtocolConfig(blksize_max=7))}, "blksize_max"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: Settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        serving(**settings)


@pytest.mark.parametrize("loss", [1.0, -0.1, math.nan])
def test_a_loss_that_is_no_probability_is_told(loss: float) -> None:
    with pytest.raises(ValueError, match="from 0 to less than 1"):
        serving(loss=loss)


def test_a_server_is_started_once_and_asked_only_then() -> None:
    server = serving()
    assert repr(server) == "<Server not started, 0 requests>"
    with pytest.raises(RuntimeError, match="not been started"):
        server.url("x")
    with pytest.raises(RuntimeError, match="not been started"):
        server.root  # noqa: B018
    with server:
        assert server.addresses == (server.address,)
        with pytest.raises(RuntimeError, match="started once"):
            server.start()
    server.close()
    with pytest.raises(RuntimeError, match="started once"):
        server.start()


def test_addresses_and_urls() -> None:
    with serving(listen=("127.0.0.1:0", "[::1]:0")) as server:
        assert server.url("a b;c/ü") == f"tftp://127.0.0.1:{server.port}/a%20b%3Bc/%C3%BC"
        assert server.addresses[1].startswith("[::1]:")
    with serving(listen="[::1]:0") as server:
        assert server.url("x") == f"tftp://[::1]:{server.port}/x"
    for listen, host in (("*:0", "127.0.0.1"), ("[::]:0", "::1"), ("0.0.0.0:0", "127.0.0.1")):
        with serving({"x": b"y"}, listen=listen) as server:
            assert server.host == host
            assert fetch(at(server), b"x", host=host) == b"y"


def test_answers_come_from_where_they_are_told_to() -> None:
    with serving(FILES, tid="listen") as server, Peer() as peer:
        _, source = peer.ask(rrq(b"uImage"), at(server))
        assert source == at(server)
    with serving(FILES) as server, Peer() as peer:
        _, source = peer.ask(rrq(b"uImage"), at(server))
        assert source != at(server)


@pytest.mark.parametrize("tid", ["shared", "listen"])
def test_a_lossy_network_loses_blocks_and_the_file_arrives(tid: Tid) -> None:
    protocol = ProtocolConfig(
        timeout_min_seconds=0.001, timeout_initial_seconds=0.01, timeout_max_seconds=0.01
    )
    config = Config(protocol=protocol)
    lossy = serving(FILES, tid=tid, loss=0.3, seed=1, config=config)
    with Peer() as peer, lossy as server:
        packet, source = peer.ask(rrq(b"uImage", ("blksize", 100)), at(server))
        assert option_ack(packet) == {b"blksize": b"100"}
        octets, number = b"", 0
        while len(octets) < 6000 or number == 60:  # to the empty block 61; the server is patient
            peer.send(ack(number), source)
            packet, _ = peer.receive()
            assert error_code(packet) is None, packet
            if packet[:4] == data(number + 1, b""):
                octets, number = octets + packet[4:], number + 1
        assert octets == FILES["uImage"]
    assert server.transfers[0].retransmitted > 5


def test_the_settings_are_those_of_serving() -> None:
    parameters = list(inspect.signature(serving).parameters)
    assert parameters == ["files", *Settings.__annotations__]


def test_waits_that_nothing_would_end_are_told() -> None:
    """A timeout of NaN waited for ever; another word for `until` was a KeyError, at the end."""
    nan = float("nan")
    with serving() as server:
        with pytest.raises(ValueError, match="timeout is nan"):
            server.wait_for("uImage", timeout=nan)
        with pytest.raises(ValueError, match="seconds is nan"):
            server.wait_until_quiet(nan)
        with pytest.raises(ValueError, match="timeout is nan"):
            server.wait_until_quiet(timeout=nan)
        with pytest.raises(ValueError, match="until is 'done', and can be 'requested', 'ended'"):
            server.wait_for("uImage", until="done")  # type: ignore[arg-type]


def test_a_test_may_ask_and_never_answer_as_often_as_it_likes() -> None:
    with serving({"uImage": b"kernel"}) as server, Peer() as peer:
        for _ in range(2500):  # more than a server in earnest sends ERRORs at once
            assert error_code(peer.ask(rrq(b"missing"), at(server))[0]) == 1
