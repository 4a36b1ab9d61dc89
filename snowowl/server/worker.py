"""What a worker process does: `snowowl.server.serve` on sockets that its supervisor opened.

It ends when it is told to, and when its supervisor has gone; its transfers then get the time that a
drain gives them, or all that they may take, if another worker has replaced it.  SIGTERM drains, too,
and may come twice, and when the end has come: systemd sends it to the supervisor and to every worker.
SIGINT and SIGHUP, which a terminal sends to all
processes, are the supervisor's business.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Final

import trio

from snowowl.config import Config
from snowowl.observe.audit_file import AuditError
from snowowl.observe.events import (
    AccessNarrowed,
    DatapathChosen,
    Event,
    KeyWithoutEffect,
    ServerDraining,
    ServerStarted,
    ServerStopped,
)
from snowowl.observe.log import LogObserver
from snowowl.observe.writer import LineWriter, stderr_descriptor
from snowowl.server.adopted import AdoptedNetwork
from snowowl.server.channel import Channel, Order, OrderError, decode_order, read_line
from snowowl.server.confinement import confine_and_tell
from snowowl.server.datapath import system_network
from snowowl.server.errors import ListenError, RootError
from snowowl.server.outputs import Outputs, lines_lost, open_journal
from snowowl.server.serve import serve

FIRST: Final = 1
"""The worker that answers what was sent to all, and tells what is true of all."""


def work(number: int, sock: socket.socket) -> int:
    """Serve as worker `number`, by the order that comes in at a socket; return the exit status."""
    line = read_line(sock)
    if not line:
        return 0  # the supervisor has gone already

    async def run() -> int:
        with closing(Channel(sock)) as channel:
            try:
                order = decode_order(line)
            except OrderError as error:
                channel.tell("failed", str(error))
                return 1
            return await _work(number, order, channel, _confined(order.config))

    return trio.run(run)


def _confined(config: Config) -> list[Event]:
    """Confine this process, if it shall be; return what is to be told of it.

    Trio has one thread so far, and those to come inherit it.
    """
    events: list[Event] = []
    if config.server.landlock:
        confine_and_tell(config, None, events.append)
    return events


async def _work(number: int, order: Order, channel: Channel, events: Sequence[Event]) -> int:
    config = order.config
    writer = LineWriter(stderr_descriptor(), write_max=select.PIPE_BUF)
    journal = open_journal()
    log = LogObserver(
        writer.write,
        form=config.log.format,
        level=config.log.level,
        colors=order.colors,
        worker=number,
        journal=journal,
    )
    writer.dropped_line = log.dropped
    try:
        outputs = Outputs(config, log, lambda: lines_lost(writer, journal), worker=number)
    except AuditError as error:
        channel.tell("failed", str(error))
        return 1
    if number == FIRST:
        for event in events:
            log(event)
    drain, retire, go = trio.Event(), trio.Event(), trio.Event()

    def tell(event: Event) -> None:
        """Log what happens to clients; what happens to the worker, the supervisor words."""
        match event:
            case ServerStarted():
                channel.tell("ready")
            case ServerDraining(active):
                channel.tell("draining", str(active))
            case ServerStopped():
                log.tell_left_out()
            case DatapathChosen() | KeyWithoutEffect() | AccessNarrowed() if number != FIRST:
                pass
            case _:
                log(event)
                outputs(event)

    failed = False
    async with trio.open_nursery() as outer:
        outer.start_soon(writer.run)
        async with outputs.running(), trio.open_nursery() as running:
            running.start_soon(_watch_signals, drain)
            running.start_soon(outputs.tell_counts, channel)
            words = {"go": go, "drain": drain, "retire": retire}
            running.start_soon(_obey, channel, words, running.cancel_scope.cancel, log, outputs)
            try:
                with ExitStack() as stack:
                    network = _network(number, order, go, stack)
                    await serve(
                        config,
                        observers=[tell],
                        network=network,
                        drain=drain,
                        retire=retire,
                        metrics=outputs.metrics,
                    )
            except (ListenError, RootError) as error:
                failed = True
                channel.tell("failed", str(error))
            running.cancel_scope.cancel()
        writer.close()
    return 1 if failed else 0


def _network(number: int, order: Order, go: trio.Event, stack: ExitStack) -> AdoptedNetwork:
    network = system_network(order.config)
    stack.callback(network.close)
    sockets = [
        stack.enter_context(socket.socket(fileno=descriptor)) for descriptor in order.listening
    ]
    return AdoptedNetwork(network, sockets, go, takes_broadcasts=number == FIRST)


async def _watch_signals(drain: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            drain.set()


async def _obey(
    channel: Channel,
    words: Mapping[str, trio.Event],
    stop: Callable[[], None],
    log: LogObserver,
    outputs: Outputs,
) -> None:
    """Do what the supervisor says; drain once it has gone."""
    drain, retire = words["drain"], words["retire"]
    while (message := await channel.receive()) is not None:
        match message.word:
            case "go" | "drain" | "retire":
                words[message.word].set()
            case "ping":
                channel.tell("pong")
            case "stop":
                stop()
            case "reopen":
                outputs.reopen_soon()  # nothing here waits for a disk: pings are answered
    if not drain.is_set() and not retire.is_set():
        log.complain("the supervisor has gone: taking no more requests")
    drain.set()
