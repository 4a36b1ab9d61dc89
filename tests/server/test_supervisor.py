"""Several processes as one server: what is started, replaced, told and ended.

The workers are fakes that start in no time; `tests/real/test_workers.py` has the true ones.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
import trio

from snowowl.config import Config, LimitsConfig, LogConfig, ProtocolConfig, ServerConfig
from snowowl.observe.events import (
    Event,
    ReloadFailed,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
    WorkerEnded,
    WorkerStarted,
)
from snowowl.server import supervisor as module
from snowowl.server import worker_process
from snowowl.server.errors import ListenError, WorkerError
from snowowl.server.supervisor import (
    PAUSE_MAX_SECONDS,
    PAUSE_MIN_SECONDS,
    RETIRED_MAX,
    YOUNG_SECONDS,
    Pauses,
    share_of,
    supervise,
    worker_count,
)
from tests.datagram.loopback import descriptors
from tests.server.fakeworker import Fake, all_end, eventually, is_alive

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux"),
]

LISTEN = ("127.0.0.1:0", "127.0.0.1:0")
CONFIG = Config(server=ServerConfig(listen=LISTEN, workers=2, drain_seconds=0.3))
ROOT_CHANGED = ('server.root: "/new", was "."',)
E = TypeVar("E")


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the supervisor wait for a short time where it waits for what never comes."""
    for owner, name in (
        (module, "LEAVE_SECONDS"),
        (module, "HANDOVER_SECONDS"),
        (worker_process, "STOP_SECONDS"),
    ):
        monkeypatch.setattr(owner, name, 0.1)


@attrs.define
class Running:
    """A supervisor of fakes."""

    addresses: Sequence[str]
    events: list[Event]
    drain: trio.Event
    reloads: trio.MemorySendChannel[Config]
    scope: trio.CancelScope
    ended: trio.Event

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def reload(self, config: Config) -> None:
        before = len(self.told(ServerReloaded))
        await self.reloads.send(config)
        await eventually(lambda: len(self.told(ServerReloaded)) > before)


@asynccontextmanager
async def supervising(
    fake: Fake, config: Config = CONFIG, count: int = 2
) -> AsyncIterator[Running]:
    """Run a supervisor; at the end nothing of it may be left, whichever way it ended."""
    before = descriptors()
    events: list[Event] = []
    drain, ended = trio.Event(), trio.Event()
    send, receive = trio.open_memory_channel[Config](0)
    start = partial(
        supervise,
        config,
        count,
        observers=[events.append],
        drain=drain,
        reloads=receive,
        command=fake.command,
    )

    async def run(*, task_status: trio.TaskStatus[Sequence[str]]) -> None:
        await start(task_status=task_status)
        ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            addresses = await nursery.start(run)
            await eventually(lambda: len(fake.log("go")) == count)
            yield Running(addresses, events, drain, send, nursery.cancel_scope, ended)
            nursery.cancel_scope.cancel()
    assert not [pid for _, pid in fake.log("start") if is_alive(pid)]
    assert descriptors() == before
    assert events[-1] == ServerStopped()


async def test_all_workers_start_before_it_is_told_that_the_server_has(fake: Fake) -> None:
    async with supervising(fake) as running:
        started = running.told(ServerStarted)
        assert started == [ServerStarted(tuple(running.addresses), ".", 2)]
        assert len(running.addresses) == 2
        assert {number for number, _ in fake.log("start")} == {1, 2}
        pids = {worker.worker: worker.pid for worker in running.told(WorkerStarted)}
        assert pids == dict(fake.log("start"))


async def test_each_gets_its_share(fake: Fake) -> None:
    limits = LimitsConfig(
        transfers_max=101,
        uploads_max=10,
        open_files_max=300,
        unanswered_max=100,
        requests_per_second_total=60.0,
    )
    config = attrs.evolve(CONFIG, limits=limits)
    async with supervising(fake, config, 3):
        configs = fake.configs()
    assert [config["limits"]["transfers_max"] for config in configs] == [34] * 3
    assert [config["limits"]["uploads_max"] for config in configs] == [4] * 3
    assert [config["limits"]["open_files_max"] for config in configs] == [100] * 3
    # Of a quota each takes its share itself.
    assert [config["server"]["workers"] for config in configs] == [3] * 3
    assert [config["limits"]["unanswered_max"] for config in configs] == [34] * 3
    assert [config["limits"]["requests_per_second_total"] for config in configs] == [20.0] * 3
    whole = limits.client_transfers_max, limits.requests_per_second
    assert (
        share_of(limits, 3).client_transfers_max,
        share_of(limits, 3).requests_per_second,
    ) == whole
    assert share_of(LimitsConfig(errors_per_second_total=0), 3).errors_per_second_total == 0
    assert share_of(LimitsConfig(open_files_max=20), 3).open_files_max == 16


async def test_drain_reaches_all(fake: Fake) -> None:
    async with supervising(fake) as running:
        running.drain.set()
        await running.ended.wait()
        assert running.told(ServerDraining) == [ServerDraining(4, 0.3)]
        assert not fake.log("stop")
        assert not running.told(WorkerEnded)


async def test_who_has_too_much_to_do_is_ended(fake: Fake, impatient: None) -> None:
    fake.does("linger", 1)
    async with supervising(fake) as running:
        since = trio.current_time()
        running.drain.set()
        await running.ended.wait()
        assert 0.3 < trio.current_time() - since < 2
        assert [number for number, _ in fake.log("stop")] == [1]


@pytest.mark.parametrize("drains", [False, True])
async def test_who_does_not_hear_is_killed(fake: Fake, impatient: None, *, drains: bool) -> None:
    fake.does("deaf")
    async with supervising(fake) as running:
        since = trio.current_time()
        if drains:
            running.drain.set()
            await running.ended.wait()
        running.scope.cancel()
    assert trio.current_time() - since < 3


async def test_cancelled_it_stops_all(fake: Fake) -> None:
    async with supervising(fake) as running:
        running.scope.cancel()
    assert sorted(number for number, _ in fake.log("stop")) == [1, 2]
    assert not running.told(ServerDraining)


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("refuse", "worker 2 does not want to"),
        ("die", "a worker ends as soon as it starts: exit status 3"),
    ],
)
async def test_a_worker_that_cannot_start_at_first(fake: Fake, does: str, why: str) -> None:
    fake.does(does, 2)
    events: list[Event] = []
    before = descriptors()
    with trio.fail_after(5), pytest.raises(WorkerError) as caught:
        await supervise(CONFIG, 2, observers=[events.append], command=fake.command)
    assert str(caught.value) == why
    assert events == []
    await all_end([pid for _, pid in fake.log("start")])
    assert descriptors() == before


async def test_there_is_no_such_program() -> None:
    with trio.fail_after(5), pytest.raises(WorkerError, match=r"cannot be started: .*No such file"):
        await supervise(CONFIG, 2, command=["/no/such/python"])


async def test_there_are_no_threads_to_start_a_worker_by(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_process(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    before = descriptors()
    with trio.fail_after(5), pytest.raises(WorkerError, match=r"cannot be started: can't start"):
        await supervise(CONFIG, 2, command=fake.command)
    assert descriptors() == before


async def test_a_port_that_is_taken(fake: Fake) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as another supervisor has
        taken.bind(("127.0.0.1", 0))
        listen = (f"127.0.0.1:{taken.getsockname()[1]}",)
        before = descriptors()
        with trio.fail_after(5), pytest.raises(ListenError, match="another server has this port"):
            await supervise(Config(server=ServerConfig(listen=listen)), 2, command=fake.command)
        assert descriptors() == before
    assert not fake.log("start")


async def test_a_worker_that_dies_is_replaced_and_its_sibling_is_not(fake: Fake) -> None:
    async with supervising(fake) as running:
        pids = dict(fake.log("start"))
        os.kill(pids[2], signal.SIGKILL)
        await eventually(lambda: len(fake.log("go")) == 3)
        ended = WorkerEnded(2, pids[2], "killed by SIGKILL", 0.0)
        assert running.told(WorkerEnded) == [ended]
        new = running.told(WorkerStarted)[-1]
        assert (new.worker, new.replaces_lost) == (2, True)
        assert is_alive(pids[1])
        assert dict(fake.log("start")) == {1: pids[1], 2: new.pid}


async def test_workers_that_die_young_are_replaced_ever_more_slowly(fake: Fake) -> None:
    async with supervising(fake) as running:
        fake.does("refuse", 1)
        os.kill(dict(fake.log("start"))[1], signal.SIGTERM)
        await eventually(lambda: len(running.told(WorkerEnded)) == 3)
        fake.does("serve", 1)
        await eventually(lambda: len(running.told(WorkerStarted)) == 3)
    ends = running.told(WorkerEnded)
    assert [end.pause_seconds for end in ends] == [0.0, PAUSE_MIN_SECONDS, 2 * PAUSE_MIN_SECONDS]
    reasons = ["killed by SIGTERM", "worker 1 does not want to", "worker 1 does not want to"]
    assert [end.reason for end in ends] == reasons


async def test_a_worker_that_hangs_is_replaced(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers is not; nor one that answers late."""
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    fake.does("hang", 1)
    async with supervising(fake) as running:
        first = dict(fake.log("start"))
        fake.does("serve", 1)
        await eventually(lambda: len(running.told(WorkerStarted)) == 3)
        (end,) = running.told(WorkerEnded)
        assert (end.worker, end.pid) == (1, first[1])
        assert end.reason == "it gave no sign of life for 0.2 s"
        os.kill(first[2], signal.SIGSTOP)
        await trio.sleep(0.1)
        os.kill(first[2], signal.SIGCONT)
        await trio.sleep(0.3)
        assert len(running.told(WorkerEnded)) == 1
        assert is_alive(first[2])


@pytest.mark.parametrize(
    "words",
    ['["counts", "[1]"]\n', "[" * 10_000 + "\n", '["draining", "x"]\n', "[]\n", "[" * (2 << 20)],
    ids=["counts", "deep", "number", "short", "endless"],
)
async def test_a_worker_that_the_network_speaks_by_is_replaced(fake: Fake, words: str) -> None:
    fake.does(words, 1)
    async with supervising(fake) as running:
        fake.does("serve", 1)
        await eventually(lambda: len(running.told(WorkerStarted)) == 3)
        (end,) = running.told(WorkerEnded)
        assert (end.worker, end.reason) == (1, "what it said to the supervisor made no sense")


async def test_a_worker_that_somebody_told_to_drain_is_replaced_while_it_does(
    fake: Fake, impatient: None
) -> None:
    fake.does("leave", 1)
    config = attrs.evolve(CONFIG, server=attrs.evolve(CONFIG.server, drain_seconds=0.5))
    async with supervising(fake, config) as running:
        fake.does("serve", 1)
        await eventually(lambda: len(running.told(WorkerStarted)) == 3)
        (end,) = running.told(WorkerEnded)
        assert end.reason == "somebody sent it SIGTERM"
        assert is_alive(end.pid)
        await all_end([end.pid])  # it may take as long as a drain, not longer


async def test_a_drain_of_all_is_no_reason_to_replace_any(fake: Fake) -> None:
    """Systemd sends SIGTERM to all processes, and a worker may be the first to hear of it."""
    fake.does("leave")
    async with supervising(fake) as running:
        await trio.sleep(0.05)
        running.drain.set()
        await running.ended.wait()
        assert not running.told(WorkerEnded)
        assert len(fake.log("start")) == 2


def with_root(root: str) -> Config:
    return attrs.evolve(CONFIG, server=attrs.evolve(CONFIG.server, root=Path(root)))


async def test_reload_replaces_all_one_by_one(fake: Fake) -> None:
    async with supervising(fake) as running:
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ServerReloaded))
        assert running.told(ServerReloaded) == [ServerReloaded("/new", (), ROOT_CHANGED)]
        assert [config["server"]["root"] for config in fake.configs()] == [".", ".", "/new", "/new"]
        await all_end([pid for _, pid in fake.log("start")[:2]])
        assert all(is_alive(pid) for _, pid in fake.log("start")[2:])
        assert not running.told(WorkerEnded)
        # What dies from now on is replaced by the new configuration, too.
        os.kill(fake.log("start")[2][1], signal.SIGKILL)
        await eventually(lambda: len(fake.log("go")) == 5)
        assert fake.configs()[-1]["server"]["root"] == "/new"


async def test_the_new_worker_takes_requests_when_the_old_one_has_said_that_it_does_not(
    fake: Fake,
) -> None:
    async with supervising(fake, count=1) as running:
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ServerReloaded))
        await eventually(lambda: len(fake.log("go")) == 2)
        words = fake.log("start", "go", "retire")
    old, new = words[0][1], words[2][1]
    assert [pid for _, pid in words] == [old, old, new, old, new]


async def test_an_old_worker_that_does_not_let_go_is_ended(fake: Fake, impatient: None) -> None:
    fake.does("deaf", 1)
    async with supervising(fake) as running:
        fake.does("serve", 1)
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ServerReloaded))
        await all_end([pid for _, pid in fake.log("start")[:2]])


async def test_what_a_reload_cannot_change(fake: Fake) -> None:
    async with supervising(fake) as running:
        server = ServerConfig(listen=("127.0.0.1:6969",), workers=5)
        await running.reloads.send(Config(server=server, log=LogConfig(level="debug")))
        await eventually(lambda: running.told(ServerReloaded))
        (reloaded,) = running.told(ServerReloaded)
        assert reloaded.kept == ("server.listen", "server.workers")
        assert reloaded.changed == (
            "server.drain_seconds: 10.0, was 0.3",
            'log.level: "debug", was "info"',
        )
        new = fake.configs()[-1]
        assert (new["server"]["listen"], new["log"]["level"]) == (list(LISTEN), "debug")


async def test_a_reload_that_needs_what_cannot_change(fake: Fake) -> None:
    async with supervising(fake) as running:
        await running.reloads.send(Config(server=ServerConfig(tid="listen", workers=1)))
        await eventually(lambda: running.told(ServerReloaded))
        (reloaded,) = running.told(ServerReloaded)
        assert reloaded.kept == ("server.listen", "server.tid", "server.workers")


async def test_a_reload_with_values_that_cannot_stand_together(fake: Fake) -> None:
    async with supervising(fake) as running:
        protocol = ProtocolConfig(timeout_min_seconds=3.0)
        await running.reloads.send(attrs.evolve(CONFIG, protocol=protocol))
        await eventually(lambda: running.told(ReloadFailed))
        (failed,) = running.told(ReloadFailed)
        assert failed.reason.startswith("protocol.timeout_min_seconds: ")
        assert failed.reason.endswith("; the server goes on as it was")
        assert len(fake.log("start")) == 2


async def test_as_many_workers_by_another_word_is_no_change(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    async with supervising(fake) as running:
        server = attrs.evolve(CONFIG.server, workers="auto")
        await running.reloads.send(attrs.evolve(CONFIG, server=server))
        await eventually(lambda: running.told(ServerReloaded))
        assert running.told(ServerReloaded) == [ServerReloaded(".", ())]


async def test_running_transfers_of_replaced_workers_take_their_time(
    fake: Fake, impatient: None
) -> None:
    fake.does("busy")
    async with supervising(fake) as running:
        old = [pid for _, pid in fake.log("start")]
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ServerReloaded))
        await trio.sleep(1.0)  # a drain would have ended them
        assert all(map(is_alive, old))
        running.drain.set()
        await running.ended.wait()
        # Of all four, and as many transfers as they have now.
        assert running.told(ServerDraining) == [ServerDraining(8, 0.3)]
        assert not fake.log("stop")


async def test_replaced_workers_do_not_pile_up(fake: Fake) -> None:
    fake.does("busy")
    config = attrs.evolve(CONFIG, server=attrs.evolve(CONFIG.server, workers=1))
    async with supervising(fake, config, 1) as running:
        for count in range(1, RETIRED_MAX + 4):
            root = attrs.evolve(config.server, root=Path(f"/{count}"))
            await running.reload(attrs.evolve(config, server=root))
            pids = [pid for _, pid in fake.log("start")]
            await all_end(pids[: -RETIRED_MAX - 1])  # the oldest, which were told to drain
            assert all(map(is_alive, pids[-RETIRED_MAX - 1 :]))
        assert fake.log("drain") == fake.log("start")[:3]


async def test_who_takes_no_more_configurations_says_so(fake: Fake) -> None:
    async with supervising(fake) as running:
        running.drain.set()
        await running.ended.wait()
        with pytest.raises(trio.BrokenResourceError):
            await running.reloads.send(with_root("/new"))


async def test_a_reload_with_which_no_worker_can_start(fake: Fake) -> None:
    async with supervising(fake) as running:
        pids = dict(fake.log("start"))
        fake.does("refuse", 1)
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ReloadFailed))
        reason = "worker 1 does not want to; the server goes on as it was"
        assert running.told(ReloadFailed) == [ReloadFailed(reason)]
        assert not fake.log("retire", "drain")
        fake.does("serve", 1)
        os.kill(pids[1], signal.SIGKILL)
        await eventually(lambda: len(fake.log("go")) == 3)
        assert fake.configs()[-1]["server"]["root"] == "."


async def test_a_reload_with_which_one_worker_cannot_start(fake: Fake) -> None:
    async with supervising(fake) as running:
        fake.does("die", 2)
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ReloadFailed))
        reason = "exit status 3; the workers from 2 on go on as they were"
        assert running.told(ReloadFailed) == [ReloadFailed(reason)]
        assert not running.told(WorkerEnded)


async def test_a_reload_puts_a_worker_where_none_can_be_started(fake: Fake) -> None:
    async with supervising(fake) as running:
        fake.does("die", 1)
        os.kill(dict(fake.log("start"))[1], signal.SIGKILL)
        await eventually(lambda: len(running.told(WorkerEnded)) == 4)
        fake.does("serve", 1)
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: running.told(ServerReloaded))
        await trio.sleep(0.5)  # longer than the keeper still waits
        assert len([number for number, pid in fake.log("go") if is_alive(pid) and number == 1]) == 1


async def test_drain_in_the_middle_of_a_reload(fake: Fake, impatient: None) -> None:
    fake.does("deaf", 1)  # the supervisor waits for it to let go
    async with supervising(fake) as running:
        fake.does("serve", 1)
        await running.reloads.send(with_root("/new"))
        await eventually(lambda: len(fake.log("start")) == 3)
        running.drain.set()
        await running.ended.wait()
        assert not running.told(ServerReloaded)


def test_pauses() -> None:
    pauses = Pauses()
    young, old = YOUNG_SECONDS - 1, YOUNG_SECONDS
    assert pauses.after(0) == 0
    assert [pauses.after(young) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert [pauses.after(young) for _ in range(9)][-1] == PAUSE_MAX_SECONDS
    assert [pauses.after(seconds) for seconds in (old, young, old)] == [0, PAUSE_MIN_SECONDS, 0]


def test_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3))
    assert (worker_count(1), worker_count(7), worker_count("auto")) == (1, 7, 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(1000))
    assert worker_count("auto") == module.WORKERS_MAX
    monkeypatch.setattr(module, "_LINUX", False)
    assert (worker_count(7), worker_count("auto")) == (1, 1)
