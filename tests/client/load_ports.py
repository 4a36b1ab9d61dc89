"""Endpoints without a network: a test reads what was sent and says what has come."""

from __future__ import annotations

from collections.abc import Sequence

from snowowl.client.load_content import Content
from snowowl.client.load_jobs import Fetches
from snowowl.client.load_options import LoadOptions
from snowowl.client.options import ClientOptions
from snowowl.client.url import parse_url
from snowowl.datagram.address import pack
from snowowl.datagram.interface import Counters, Received, Transmit, Unsent

SERVER = pack(("192.0.2.1", 69))
TID = pack(("192.0.2.1", 5001))
TID_2 = pack(("192.0.2.1", 5002))
OTHER_HOST = pack(("192.0.2.9", 5001))
TARGET = parse_url("tftp://192.0.2.1/file")


class Port:
    """An `Endpoint`."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.address = pack(("192.0.2.100", 40000))
        self.sent: list[tuple[bytes, bytes]] = []
        """Peer and octets."""
        self.inbox: list[Received] = []
        self.closed_ports: list[bytes] = []
        self.refusals: list[Unsent | None] = []
        """What the next sends do not do."""
        self.closed = False

    def comes(self, peer: bytes, *datagrams: bytes) -> None:
        """Let something come from a peer: several datagrams of one size are one `Received`."""
        data = memoryview(b"".join(datagrams))
        self.inbox.append(Received(data, len(datagrams[0]) or 1, peer))

    def take_sent(self) -> list[tuple[bytes, bytes]]:
        sent, self.sent = self.sent, []
        return sent

    def receive(self) -> Sequence[Received]:
        inbox, self.inbox = self.inbox, []
        return inbox

    def send(self, transmits: Sequence[Transmit]) -> Unsent | None:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is None:
            for transmit in transmits:
                for pieces in transmit.datagrams():
                    self.sent.append((transmit.peer, b"".join(pieces)))
        return refusal

    def take_unreachable(self) -> Sequence[bytes]:
        peers, self.closed_ports = self.closed_ports, []
        return peers

    def dropped(self) -> int:
        return 3

    async def wait_readable(self) -> None:
        raise NotImplementedError

    async def wait_writable(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def fetches(octets: bytes, *, clients: int = 1, transfers: int | None = None) -> Fetches:
    """Return jobs that fetch octets by plain RFC 1350."""
    plain = ClientOptions.none()
    options = LoadOptions(clients=clients, transfers=transfers, request=plain)
    return Fetches(TARGET, options, Content(octets))
