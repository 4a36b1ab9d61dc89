"""Host names of a simulation: those that it was told, and none of the world's."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Literal

import trio

Entry = (
    tuple[Literal[socket.AddressFamily.AF_INET], socket.SocketKind, int, str, tuple[str, int]]
    | tuple[
        Literal[socket.AddressFamily.AF_INET6],
        socket.SocketKind,
        int,
        str,
        tuple[str, int, int, int] | tuple[int, bytes],
    ]
)
"""What `getaddrinfo` returns a list of, as Trio has it."""


class SimResolver(trio.abc.HostnameResolver):
    """Resolves names by a table, which may change at any time."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = names

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as Trio has it
        proto: int = 0,
        flags: int = 0,
    ) -> list[Entry]:
        """Return the addresses of a name, in the table's order.  Raises socket.gaierror."""
        await trio.lowlevel.checkpoint()
        flags |= socket.AI_NUMERICHOST
        found: list[Entry] = []
        for address in self._names.get((host or b"").decode(), ()):
            try:
                found += socket.getaddrinfo(address, port, family, type, proto, flags)
            except socket.gaierror:  # an address of the other family
                continue
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "this simulation has no such name")
        return found

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        """Return an address as its own name."""
        del flags
        await trio.lowlevel.checkpoint()
        return sockaddr[0], str(sockaddr[1])
