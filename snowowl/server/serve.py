"""The nursery tree of a server: who waits for whom, and what ends first.

    serve
     |- exchange pumps            cancelled last: they carry the last ERRORs
         |- transfer tasks        outlive the acceptors while draining
             |- dispatch          ends when the last acceptor has closed the channel
             |- acceptors         cancelled first

No task outlives `serve`, and no socket.

All is in one process: `server.workers` is for the command `snowowl serve`, whose supervisor
(`snowowl.server.supervisor`) has several that run this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress

import trio

from snowowl.config import Config, parse_listen
from snowowl.config.write import check_mode
from snowowl.content.allowance import Allowance, Limits
from snowowl.content.mapped import FileHints
from snowowl.content.names import NameRules
from snowowl.content.naming import Template
from snowowl.content.store import Recent, Store
from snowowl.content.uploads import WritePolicy
from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Network
from snowowl.observe.events import (
    DatapathChosen,
    DatapathLowered,
    KeyWithoutEffect,
    ServerDraining,
    ServerStarted,
    ServerStopped,
)
from snowowl.observe.observers import Observer, Observers
from snowowl.server.acceptor import Acceptor, RequestSender
from snowowl.server.datapath import system_network, without
from snowowl.server.errors import ListenError, RootError
from snowowl.server.exchange import Exchange
from snowowl.server.exchanges import Exchanges
from snowowl.server.policies import Policies
from snowowl.server.readings import Readings
from snowowl.server.registry import Admitted, Registry
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
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until `drain` is set and the running transfers have ended.

    ``addresses = await nursery.start(snowowl.serve, config)`` returns when requests can come in,
    with the addresses that are bound, as texts like ``192.0.2.1:69``.

    Raises ListenError if an address cannot be listened on, RootError if the root cannot be opened;
    both are OSErrors that say what to do.  Cancelled, it tells the peers of running transfers by
    ERROR 0.
    """
    with ExitStack() as end, ExitStack() as stack:
        told = Observers(observers)
        store = _open_store(config)
        stack.callback(store.close)
        if network is None:
            network = system_network(config)
            stack.callback(network.close)
        endpoints = _listen(config, network, stack)
        addresses = tuple(address.text(endpoint.address) for endpoint in endpoints)
        registry = Registry()
        async with trio.open_nursery() as pumps:
            exchanges = Exchanges(
                network,
                pumps,
                told,
                tid=config.server.tid,
                port_range=config.server.port_range,
                tuning=tuning_of(config),
            )
            stack.callback(exchanges.close)
            policies = Policies(config, network, trio.current_time)
            service = Service(store, policies, exchanges, registry, told)
            readings = Readings(store, policies, exchanges, registry, told)
            try:
                async with trio.open_nursery() as transfers:
                    readings.nursery = transfers
                    pumps.start_soon(store.keep_count)
                    send, receive = trio.open_memory_channel[Sequence[Admitted]](BATCHES_QUEUED_MAX)
                    transfers.start_soon(_dispatch, receive, service, readings, transfers)
                    with send:
                        acceptors = _acceptors(config, endpoints, service, send)
                        async with trio.open_nursery() as accepting:
                            for acceptor in acceptors:
                                if config.server.tid == "listen":
                                    _share_endpoint(acceptor, exchanges, told, pumps)
                                else:
                                    accepting.start_soon(acceptor.run)
                            told.emit(ServerStarted(addresses, str(config.server.root)))
                            _tell_datapath(config, network, told)
                            end.callback(told.emit, ServerStopped())
                            task_status.started(addresses)
                            await (trio.Event() if drain is None else drain).wait()
                            accepting.cancel_scope.cancel()
                        for acceptor in acceptors:
                            acceptor.closed = True
                    seconds = config.server.drain_seconds
                    told.emit(ServerDraining(registry.unsettled, seconds))
                    with trio.move_on_after(seconds):
                        await registry.wait_settled()
                    transfers.cancel_scope.cancel()
            finally:
                readings.stop()
            pumps.cancel_scope.cancel()


def _tell_datapath(config: Config, network: Network, told: Observers) -> None:
    """Say which way to the kernel is used, and what was asked for and cannot be had."""
    capabilities = network.capabilities
    if capabilities is None:
        return
    told.emit(DatapathChosen(capabilities.rung, capabilities.features()))
    for warning in without(config, capabilities):
        told.emit(KeyWithoutEffect(warning))
    network.lowered = lambda what: told.emit(DatapathLowered(what))


def _acceptors(
    config: Config, endpoints: list[Endpoint], service: Service, send: RequestSender
) -> list[Acceptor]:
    """Make an acceptor for each listening address."""
    return [
        Acceptor(
            endpoint,
            service.registry,
            service.observers,
            send,
            transfers_max=config.limits.transfers_max,
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


def _share_endpoint(
    acceptor: Acceptor, exchanges: Exchanges, observers: Observers, pumps: trio.Nursery
) -> None:
    """Run transfers over the listening endpoint itself (`tid = "listen"`)."""
    exchange = Exchange(acceptor.endpoint, observers, acceptor.accept, exchanges.tuning)
    exchanges.add_listening(acceptor.endpoint, exchange)
    pumps.start_soon(exchange.run)


def _open_store(config: Config) -> Store:
    names, write = config.names, config.write
    rules = NameRules(
        strip_trailing=names.strip_trailing, backslash=names.backslash, hidden=names.hidden
    )
    policy = WritePolicy(
        enabled=write.enabled,
        overwrite=write.overwrite,
        create=write.create,
        patterns=write.patterns,
        size_max=write.size_max,
        mode=check_mode(write.mode),
        unique=write.unique,
        unique_name=Template(write.unique_name),
    )
    files = config.performance.files
    hints = FileHints(read_ahead=files.read_ahead_kb * 1024, access=files.access_hint)
    try:
        return Store(
            config.server.root,
            rules=rules,
            policy=policy,
            hints=hints,
            allowance=Allowance(_limits_of(config)),
        )
    except OSError as error:
        raise RootError(config.server.root, error) from error


def _limits_of(config: Config) -> Limits:
    """Return what all uploads and all open files of this process may come to."""
    workers = config.server.workers
    return Limits(
        uploads_max=config.limits.uploads_max,
        open_files_max=config.limits.open_files_max,
        quota=config.write.quota if config.write.enabled else 0,
        free_min=config.write.free_min,
        shares=1 if workers == "auto" else workers,  # a worker is told how many there are
    )


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
