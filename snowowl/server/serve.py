"""The nursery tree of a server: who waits for whom, and what ends first.

    serve
     |- exchange pumps            cancelled last: they carry the last ERRORs
     |- guard.refusals            with them: tells once a minute what was refused
     |- end_overdue               transfers have a time also while draining
     |- census                    counts what a quota is of, for the current generation
     |- transfers
         |- transfer tasks        outlive the acceptors while draining
         |- dispatch              ends when the last acceptor has closed the channel
         |- acceptors             cancelled first
         |- reloads               with them: who takes no more requests takes no configuration

No task outlives `serve`, and no socket.  What a reload replaces is in `snowowl.server.generation`,
and what is handed the new configuration besides are the `takers` here.  What runs beside a server
(its log, audit stream, metrics, systemd) is its caller's: `snowowl.cli.serve_program` outlives it.

All is in one process: `server.workers` is for the command `snowowl serve`, whose supervisor
(`snowowl.server.supervisor`) has several that run this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress

import trio

from snowowl.config import Config, parse_listen
from snowowl.content.store import Recent
from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Network
from snowowl.observe.events import (
    DatapathChosen,
    DatapathLowered,
    KeyWithoutEffect,
    ServerStarted,
    ServerStopped,
)
from snowowl.observe.metrics import Metrics
from snowowl.observe.observers import Observer, Observers
from snowowl.server.acceptor import Acceptor, RequestSender
from snowowl.server.counted import Counted
from snowowl.server.datapath import system_network, without
from snowowl.server.ending import Ending
from snowowl.server.errors import ListenError
from snowowl.server.exchange import Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.generation import Generations, open_generation
from snowowl.server.guard import Guard
from snowowl.server.guarding import attend, make_guard
from snowowl.server.readings import Readings
from snowowl.server.registry import Admitted, Registry
from snowowl.server.reloading import Reloading, Reloads, Unchangeable
from snowowl.server.transfers import Service
from snowowl.server.tuning import tuning_of

BATCHES_QUEUED_MAX = 256
"""Batches of admitted requests between acceptors and dispatch; more are dropped and counted."""

Batches = trio.MemoryReceiveChannel[Sequence[Admitted]]


async def serve(
    config: Config,
    *,
    observers: Iterable[Observer] = (),
    network: Network | None = None,
    drain: trio.Event | None = None,
    retire: trio.Event | None = None,
    reloads: Reloads | None = None,
    unchangeable: Unchangeable | None = None,
    metrics: Metrics | None = None,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until `drain` or `retire` is set and the running transfers have ended.

    `drain` gives them `server.drain_seconds`, `retire` all the time that a transfer may take, unless
    `drain` follows.  The configurations that come by `reloads` are for what begins after them:
    ServerReloaded or ReloadFailed tells of each, and the channel is closed when no more are taken.
    `unchangeable` names keys that cannot change for the caller's reasons.  `metrics` observes, too.

    ``addresses = await nursery.start(snowowl.serve, config)`` returns when requests can come in,
    with the addresses that are bound, as texts like ``192.0.2.1:69``.

    Raises ListenError or RootError if it cannot begin: OSErrors that say what to do.  Cancelled, it
    tells the peers of running transfers by ERROR 0.
    """
    with ExitStack() as end, ExitStack() as stack:
        told = Observers(observers if metrics is None else (*observers, metrics))
        stack.enter_context(nullcontext() if reloads is None else reloads)
        network = network or _system_network(config, stack)
        generations = Generations(await open_generation(config, network))
        stack.callback(generations.close)
        endpoints = _listen(config, network, stack)
        addresses = tuple(address.text(endpoint.address) for endpoint in endpoints)
        registry, ending = Registry(), Ending(drain, retire)
        guard, narrowing = make_guard(config, network, told, stack)
        async with trio.open_nursery() as pumps:
            pumps.start_soon(generations.keep_count)
            exchanges = _exchanges(config, network, pumps, told, guard, stack)
            pumps.start_soon(attend, guard, registry)
            service = Service(generations, exchanges, registry, told)
            readings = Readings(generations, exchanges, registry, told)
            reloading = Reloading(config, generations, network, told, unchangeable)
            try:
                async with trio.open_nursery() as transfers:
                    readings.nursery = transfers
                    send, receive = trio.open_memory_channel[Sequence[Admitted]](BATCHES_QUEUED_MAX)
                    transfers.start_soon(_dispatch, receive, service, readings, transfers)
                    with send:
                        acceptors = _acceptors(config, endpoints, service, guard, send)
                        _count(Counted(acceptors, exchanges, registry, told, guard), metrics, stack)
                        reloading.takers = [guard.configure, narrowing, exchanges.take]
                        async with trio.open_nursery() as accepting:
                            for acceptor in acceptors:
                                _begin(acceptor, config, exchanges, told, pumps, accepting)
                            if reloads is not None:
                                accepting.start_soon(reloading.run, reloads)
                            _announce(config, addresses, network, told, end)
                            task_status.started(addresses)
                            await ending.asked()
                            accepting.cancel_scope.cancel()
                        for acceptor in acceptors:
                            acceptor.closed = True
                    await ending.see_out(reloading.config, registry, told)
                    transfers.cancel_scope.cancel()
            finally:
                readings.stop()
            pumps.cancel_scope.cancel()


def _system_network(config: Config, stack: ExitStack) -> Network:
    """Make the network of this machine, until the stack is left."""
    network = system_network(config)
    stack.callback(network.close)
    return network


def _count(counted: Counted, metrics: Metrics | None, stack: ExitStack) -> None:
    """Let the metrics read what is counted, until the stack is left."""
    if metrics is not None:
        stack.callback(metrics.add_source(counted))


def _announce(
    config: Config, addresses: Sequence[str], network: Network, told: Observers, end: ExitStack
) -> None:
    """Say that requests can come in, and at the end that all is closed."""
    told.emit(ServerStarted(tuple(addresses), str(config.server.root)))
    _tell_datapath(config, network, told)
    end.callback(told.emit, ServerStopped())


def _tell_datapath(config: Config, network: Network, told: Observers) -> None:
    """Say which way to the kernel is used, and what was asked for and cannot be had."""
    capabilities = network.capabilities
    if capabilities is None:
        return
    told.emit(DatapathChosen(capabilities.rung, capabilities.features()))
    for warning in without(config, capabilities):
        told.emit(KeyWithoutEffect(warning))
    network.lowered = lambda what: told.emit(DatapathLowered(what))


def _exchanges(
    config: Config,
    network: Network,
    pumps: trio.Nursery,
    told: Observers,
    guard: Guard,
    stack: ExitStack,
) -> Exchanges:
    """Make the keeper of the sockets that answers come from, until the stack is left."""
    exchanges = Exchanges(
        network,
        pumps,
        told,
        tid=config.server.tid,
        port_range=config.server.port_range,
        tuning=tuning_of(config),
        may_answer=guard.take_error,
    )
    stack.callback(exchanges.close)
    return exchanges


def _acceptors(
    config: Config,
    endpoints: list[Endpoint],
    service: Service,
    guard: Guard,
    send: RequestSender,
) -> list[Acceptor]:
    """Make an acceptor for each listening address."""
    return [
        Acceptor(
            endpoint,
            service.registry,
            service.observers,
            send,
            guard=guard,
            keeps_peer=config.server.tid == "listen",
        )
        for endpoint in endpoints
    ]


async def _dispatch(
    batches: Batches, service: Service, readings: Readings, transfers: trio.Nursery
) -> None:
    """Begin what was admitted, with a task where something may have to be waited for.

    Ends when the acceptors have gone.

    Cancelled, it abandons the requests that nobody will come for.
    """
    with batches:
        try:
            async for batch in batches:
                recent: Recent = {}
                for admitted in batch:
                    if not readings.begin(admitted, recent):
                        transfers.start_soon(service.serve, admitted)
                service.exchanges.flush()
        finally:
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    for admitted in batches.receive_nowait():
                        service.abandon(admitted)


def _begin(
    acceptor: Acceptor,
    config: Config,
    exchanges: Exchanges,
    observers: Observers,
    pumps: trio.Nursery,
    accepting: trio.Nursery,
) -> None:
    """Let requests come in; with `tid = "listen"` by the pump that runs the transfers, too."""
    if config.server.tid != "listen":
        accepting.start_soon(acceptor.run)
        return
    exchange = Exchange(acceptor.endpoint, observers, acceptor.accept, exchanges.tuning)
    exchanges.add_listening(acceptor.endpoint, exchange)
    pumps.start_soon(exchange.run)


def _listen(config: Config, network: Network, stack: ExitStack) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    for text in config.server.listen:
        listen = parse_listen(text)
        try:
            endpoint = network.listen(listen.host, listen.port)
        except OSError as error:
            raise ListenError(text, listen.port, error) from error
        stack.callback(endpoint.close)
        endpoints.append(endpoint)
    return endpoints
