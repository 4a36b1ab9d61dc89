"""What a worker process does: `snowowl.server.serve` on sockets that its supervisor opened.

It ends when it is told to, and when its supervisor has gone; its transfers then get the time that a
drain gives them.  SIGTERM drains, too, and may come twice, and when the end has come: systemd sends
it to the supervisor and to every worker.  SIGINT and SIGHUP, which a terminal sends to all
processes, are the supervisor's business.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Final

import trio

from snowowl.observe.audit_file import AuditError
from snowowl.observe.events import (
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
            return await _work(number, order, channel)

    return trio.run(run)


async def _work(number: int, order: Order, channel: Channel) -> int:
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
    drain, go = trio.Event(), trio.Event()

    def tell(event: Event) -> None:
        """Log what happens to clients; what happens to the worker, the supervisor words."""
        match event:
            case ServerStarted():
                channel.tell("ready")
            case ServerDraining(active):
                channel.tell("draining", str(active))
            case ServerStopped():
                pass
            case DatapathChosen() | KeyWithoutEffect() if number != FIRST:
                pass
            case _:
                log(event)
                outputs(event)

    failed = False
    async with trio.open_nursery() as outer:
        outer.start_soon(writer.run)
        async with outputs.running(), trio.open_nursery() as running:
            running.start_soon(_watch_signals, drain)
            running.start_soon(_obey, channel, go, drain, running.cancel_scope.cancel, log, outputs)
            running.start_soon(outputs.tell_counts, channel)
            try:
                with ExitStack() as stack:
                    network = _network(number, order, go, stack)
                    await serve(
                        config,
                        observers=[tell],
                        network=network,
                        drain=drain,
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
    go: trio.Event,
    drain: trio.Event,
    stop: Callable[[], None],
    log: LogObserver,
    outputs: Outputs,
) -> None:
    """Do what the supervisor says; drain once it has gone."""
    while (message := await channel.receive()) is not None:
        match message.word:
            case "go":
                go.set()
            case "drain":
                drain.set()
            case "stop":
                stop()
            case "reopen":
                await outputs.reopen()
    if not drain.is_set():
        log.complain("the supervisor has gone: taking no more requests")
    drain.set()
