"""What a server tells beside its log: it adds up, and no sink that fails stops a transfer."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from snowowl.config import AuditConfig, Config, LogConfig, MetricsConfig
from snowowl.observe.audit import AuditObserver
from snowowl.observe.audit_file import AuditError
from snowowl.observe.events import Event, LinesLost
from snowowl.observe.log import LogObserver
from snowowl.observe.metrics import Metrics, Snapshot
from snowowl.server.channel import Channel
from snowowl.server.crew import Crew, decode_counts, encode_counts
from snowowl.server.errors import MetricsError
from snowowl.server.outputs import Outputs, journal_warning, open_journal
from snowowl.testing.playbook import ack, error
from tests.server.world import Tid, World, rrq, wrq


def log_to(told: list[str]) -> LogObserver:
    return LogObserver(told.append, form="json", level="debug")


def number(snapshot: Snapshot, name: str, key: str = "") -> float:
    return snapshot[f"snowowl_{name}"][key][0]


@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
async def test_metrics_of_a_server(world: World, clock: MockClock, tid: Tid) -> None:
    """Sockets that are closed are counted on; all that went over the network is in the counters."""
    world.file("file", b"x" * 1000)
    metrics = Metrics()
    world.metrics = metrics
    config = world.config(tid)
    async with world.serving(config):
        for _ in range(3):
            assert len(await world.get("file")) == 1000
        board = world.board()
        await board.ask(rrq("file"))
        during = metrics.snapshot()
        assert number(during, "transfers_in_progress") == 1
        board.send(b"noise")
    after = metrics.snapshot()
    assert not metrics.serving
    assert during["snowowl_serving"] == {"": [1]}
    assert "" not in after.get("snowowl_transfers_in_progress", {})
    assert number(after, "transfers_total", "read,completed") == 3
    assert number(after, "requests_total", "read") == 4
    sent = len(world.sent_by_server())
    assert number(after, "datagrams_sent_total") == sent
    for name, rows in during.items():
        if name.endswith("_total"):
            assert all(after[name][key] >= values for key, values in rows.items()), name


async def test_each_started_transfer_has_one_end(world: World, clock: MockClock) -> None:
    """Completed, given up, aborted, overtaken, refused half-way, cut off by the end of the server."""
    lines: list[str] = []
    world.file("file", b"x" * 2000)
    async with world.serving(world.config(size_max=600), AuditObserver(lines.append)) as nursery:
        await world.get("file")
        silent, aborting, hasty, greedy, last = (world.board(3000 + port) for port in range(5))
        _, tid = await aborting.ask(rrq("file"))
        aborting.send(error(0, "enough"), tid)
        await hasty.ask(rrq("file"))
        _, tid = await hasty.ask(rrq("file", blksize=600))
        hasty.send(ack(0), tid)
        _, tid = await greedy.ask(wrq("upload"))
        greedy.send(b"\0\3\0\1" + b"x" * 512, tid)
        await greedy.receive()
        greedy.send(b"\0\3\0\2" + b"x" * 512, tid)
        await world.board(4000).ask(rrq("missing"))
        await world.put(b"dump", "dump")
        await silent.ask(rrq("file"))
        await trio.sleep(100)
        await last.ask(rrq("file"))
        await world.board(4001).ask(wrq("never"))
        nursery.cancel_scope.cancel()
    told = [json.loads(line) for line in lines]
    started = [line["id"] for line in told if line["event"] == "transfer-started"]
    ended = [
        line["id"] for line in told if line["event"] in ("transfer-completed", "transfer-failed")
    ]
    assert len(set(started)) == len(started) == 9
    assert sorted(ended) == sorted(started)
    assert {line["outcome"] for line in told if line["event"] == "transfer-failed"} == {
        *("timed out", "aborted", "refused", "stopped")
    } | {"superseded"}
    requests = [line["id"] for line in told if line["event"] == "request"]
    denied = [line["id"] for line in told if line["event"] == "denied"]
    assert sorted(ended + denied) == sorted(requests)
    assert [line["event"] for line in told if line["event"].startswith("upload")] == [
        "upload-refused",
        "upload-stored",
    ]


def configured(tmp_path: Path, listen: str = "127.0.0.1:0") -> Config:
    return Config(audit=AuditConfig(file=tmp_path / "audit"), metrics=MetricsConfig(listen=listen))


async def test_nothing_is_opened_that_is_not_configured() -> None:
    outputs = Outputs(Config(), log_to([]), int)
    assert (outputs.audit, outputs.metrics, outputs.address) == (None, None, "")
    async with outputs.running():
        await outputs.reopen()


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(AuditError):
        Outputs(configured(tmp_path / "missing"), log_to([]), int)
    with pytest.raises(MetricsError):
        Outputs(configured(tmp_path, "192.0.2.1:1"), log_to([]), int)


@pytest.mark.real
async def test_it_answers_and_writes(tmp_path: Path) -> None:
    told: list[str] = []
    outputs = Outputs(configured(tmp_path), log_to(told), lambda: 7, version="3.2")
    event: Event = LinesLost("x", 1, "y")
    async with outputs.running():
        port = int(outputs.address.rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join([piece async for piece in stream]).decode()
        assert 'snowowl_build_info{version="3.2"} 1.0' in text
        assert "\nsnowowl_log_lines_lost_total 7.0\n" in text
        outputs(event)
        (tmp_path / "audit").rename(tmp_path / "rotated")
        await outputs.reopen()
    assert (tmp_path / "audit").exists()
    with pytest.raises(OSError):
        await trio.open_tcp_stream("127.0.0.1", port)
    assert told == []


async def test_a_file_that_cannot_be_opened_anew_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    told: list[str] = []
    outputs = Outputs(configured(folder, "127.0.0.1:0"), log_to(told), int)
    async with outputs.running():
        folder.rename(tmp_path / "moved")
        await outputs.reopen()
    assert len(told) == 1
    assert "goes on in the file as it was: cannot append" in told[0]


def test_a_journal_that_is_missing_is_told(tmp_path: Path) -> None:
    assert open_journal(str(tmp_path / "none")) is None
    config = Config(log=LogConfig(format="journal"))
    assert "log.format: there is no systemd journal" in journal_warning(config, None)
    assert journal_warning(Config(), None) == ""


# Workers.


class Hand:
    def __init__(self) -> None:
        self.counts: Snapshot = {}
        self.told: list[str] = []

    def tell(self, word: str) -> None:
        self.told.append(word)


def test_what_workers_counted_is_summed_and_kept() -> None:
    crew, one, other = Crew(), Hand(), Hand()
    crew.join(one)
    crew.join(other)
    assert crew() == {}
    for hand, count in ((one, 3), (other, 4)):
        hand.counts = decode_counts(
            json.dumps(
                {
                    "snowowl_datagrams_sent_total": {"": [count]},
                    "snowowl_transfers_in_progress": {"": [1]},
                    "snowowl_of_another_version": {"": [1]},
                }
            )
        )
    assert number(crew(), "datagrams_sent_total") == 7
    assert number(crew(), "transfers_in_progress") == 2
    crew.leave(one)
    assert number(crew(), "datagrams_sent_total") == 7
    assert number(crew(), "transfers_in_progress") == 1
    crew.leave(other)
    assert number(crew(), "datagrams_sent_total") == 7
    assert "snowowl_transfers_in_progress" not in crew()
    assert "snowowl_of_another_version" not in crew()


def test_workers_are_told_to_reopen() -> None:
    crew, hand = Crew(), Hand()
    crew.join(hand)
    crew.reopen()
    assert hand.told == ["reopen"]


@pytest.mark.real
async def test_a_worker_tells_each_second_and_at_the_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    ours, theirs = socket.socketpair()
    listener, speaker = Channel(ours), Channel(theirs)
    outputs = Outputs(configured(tmp_path), log_to([]), int, worker=1)
    assert outputs.address == ""
    assert outputs.metrics is not None
    with trio.move_on_after(2.5):
        await outputs.tell_counts(speaker)
    for count in range(3):
        message = await listener.receive()
        assert message is not None
        assert message.word == "counts"
        assert "snowowl_requests_total" in decode_counts(message.detail), count
    outputs.close()
    speaker.close()
    assert await listener.receive() is None
    listener.close()


@pytest.mark.real
async def test_a_supervisor_that_reads_nothing_gets_whole_words_later() -> None:
    ours, theirs = socket.socketpair()
    listener, speaker = Channel(ours), Channel(theirs)
    detail = encode_counts(Metrics().snapshot())
    told = 0
    while speaker.is_read:
        speaker.tell("counts", detail)
        told += 1
        assert told < 10_000
    speaker.tell("draining", "3")
    for _ in range(told - 1):
        message = await listener.receive()
        assert message is not None
        assert message.detail == detail
    speaker.tell("ready")
    words = [message.word for _ in range(3) if (message := await listener.receive())]
    assert words == ["counts", "draining", "ready"]
    speaker.close()
    listener.close()


@pytest.mark.parametrize(
    "samples",
    [
        1,
        {"": 1},
        {"": []},
        {"": [1, 2]},
        {"": ["1"]},
        {"": [True]},
        {"": [-1]},
        {"": [float("nan")]},
        {"": [float("inf")]},
        {'x"} 1\nsnowowl_serving{': [1]},
    ],
)
def test_of_what_a_worker_counts_only_numbers_are_summed(samples: object) -> None:
    told = {"snowowl_datagrams_sent_total": samples}
    assert not decode_counts(json.dumps(told)).get("snowowl_datagrams_sent_total")


@pytest.mark.parametrize("text", ["", "1", "[]", "[" * 100_000])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode_counts(text)
