"""The sockets that requests come in by, before there is a server: opened here, or inherited.

`snowowl serve` opens them while it may still bind, and serves as somebody who may not.  Each place
has a socket for every address, and is for one process.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Self

import attrs
import trio

from snowowl.config import Config, parse_listen
from snowowl.config.listen import ListenAddress
from snowowl.config.model import ServerConfig
from snowowl.datagram import address
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork, open_group, prepare_inherited
from snowowl.host.activation import ActivationError
from snowowl.server.adopted import AdoptedNetwork
from snowowl.server.datapath import settings_of
from snowowl.server.errors import ListenError


@attrs.frozen(eq=False)
class Listening:
    """Bound sockets.  Owns them; a context manager."""

    places: tuple[tuple[socket.socket, ...], ...]
    inherited: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is bound, as texts."""
        return tuple(address.text(address.pack(sock.getsockname())) for sock in self.places[0])

    def close(self) -> None:
        """Close all.  Idempotent."""
        for place in self.places:
            for sock in place:
                sock.close()

    def applied(self, config: Config) -> Config:
        """Return a configuration with the addresses and processes of the sockets that were inherited.

        So nothing that compares configurations need know where sockets come from.
        """
        if not self.inherited:
            return config
        listen = tuple(str(_listen_address(sock)) for sock in self.places[0])
        server = attrs.evolve(config.server, listen=listen, workers=len(self.places))
        return attrs.evolve(config, server=server)

    def overruled(self, config: Config) -> Iterator[str]:
        """Yield a warning for each key that has no effect, as the sockets were inherited."""
        if not self.inherited:
            return
        if config.server.listen not in (ServerConfig().listen, self.applied(config).server.listen):
            yield (
                "server.listen: has no effect, the sockets come from systemd: see ListenDatagram= in"
                " the socket unit"
            )
        if config.server.workers not in (ServerConfig().workers, len(self.places)):
            yield (
                f"server.workers: has no effect, {len(self.places)} can serve: one for each time that"
                " the socket unit names an address; repeat its ListenDatagram=, with ReusePort=yes"
            )

    def network(self, system: SystemNetwork) -> AdoptedNetwork:
        """Return the network for the only process.  It closes the sockets that it has handed out."""
        go = None
        if self.inherited:  # what the kernel has counted so far was not dropped by us
            go = trio.Event()
            go.set()
        return AdoptedNetwork(system, self.places[0], go)


def open_sockets(config: Config, count: int) -> Listening:
    """Open the sockets of `count` processes.  Raises ListenError."""
    settings = settings_of(config)
    groups: list[list[socket.socket]] = []
    with ExitStack() as stack:
        for text in config.server.listen:
            listen = parse_listen(text)
            try:
                group = open_group(listen.host, listen.port, count, settings)
            except OSError as error:
                raise ListenError(text, listen.port, error) from error
            groups.append([stack.enter_context(sock) for sock in group])
        stack.pop_all()
    return Listening(tuple(zip(*groups, strict=True)))


def inherit(config: Config, sockets: Sequence[socket.socket]) -> Listening:
    """Make places of sockets that were passed to us.  Raises ActivationError, and closes them then.

    Those that are bound to one address are for as many processes.
    """
    with ExitStack() as stack:
        for sock in sockets:
            stack.enter_context(sock)
        groups = _grouped(sockets, settings_of(config))
        if problem := _mismatch(groups, config):
            raise ActivationError(problem)
        stack.pop_all()
    return Listening(tuple(zip(*groups, strict=True)), inherited=True)


def _grouped(sockets: Sequence[socket.socket], settings: Settings) -> list[list[socket.socket]]:
    """Put together what is bound to one address, with its options set.  Raises ActivationError."""
    groups: dict[tuple[object, ...], list[socket.socket]] = {}
    for sock in sockets:
        try:
            prepare_inherited(sock, settings)
            key = (sock.family, *sock.getsockname())
        except OSError as error:
            raise ActivationError(f"a socket that was passed cannot be used: {error}") from error
        groups.setdefault(key, []).append(sock)
    return list(groups.values())


def _mismatch(groups: Sequence[Sequence[socket.socket]], config: Config) -> str:
    """Say why the sockets do not make places; nothing if they do."""
    counts = {len(group) for group in groups}
    if len(counts) > 1:
        return (
            "the socket unit names one address more often than another: repeat each ListenDatagram="
            " as often, once for each process"
        )
    if counts != {1} and config.server.tid == "listen":
        return (
            'server.tid is "listen", so one process serves: name each ListenDatagram= in the socket'
            " unit once"
        )
    return ""


def _listen_address(sock: socket.socket) -> ListenAddress:
    """Return the address that a socket is bound to, as `server.listen` has it."""
    name = sock.getsockname()
    host, port = str(name[0]), int(name[1])
    dual = sock.family == socket.AF_INET6 and not sock.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    )
    return ListenAddress("" if host == "::" and dual else host, port)
