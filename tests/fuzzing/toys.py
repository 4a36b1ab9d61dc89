"""Small TFTP servers on the simulated network, each with one bug, and one without.

They share no code with what they are tested by: packets are made and read by hand.
"""

from __future__ import annotations

import posixpath
from typing import Final

import attrs
import trio

from snowowl.datagram import address
from snowowl.datagram.interface import LocalAddress, Packet
from snowowl.testing.fuzzing.processes import Usage
from snowowl.testing.simnetwork import SimEndpoint, SimNetwork, socket_address

HOST: Final = "192.0.2.1"
SERVER: Final = socket_address(HOST, 69)
NAME: Final = b"boot/file"
CONTENT: Final = bytes(index * 7 % 251 for index in range(1400))
SECRET: Final = b"a secret that nobody may read: 4711 0815 1234567890"

ROOT: Final = "/srv/tftp/"
FILES: Final = {
    "/srv/tftp/boot/file": CONTENT,
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:\n",
    "/srv/tftp-secret/key": SECRET,
}
FOLDERS: Final = {"/", "/etc", "/srv", "/srv/tftp", "/srv/tftp/boot", "/srv/tftp-secret"}


def error(code: int, text: bytes) -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + text + b"\0"


def data(number: int, payload: bytes) -> bytes:
    return b"\0\3" + number.to_bytes(2, "big") + payload


@attrs.define
class Toy:
    """A server, as a hunt sees one."""

    network: SimNetwork
    nursery: trio.Nursery
    bug: str = ""
    can_restart: bool = True
    starts: int = 0
    _endpoint: SimEndpoint | None = None
    _transfers: list[SimEndpoint] = attrs.field(factory=list)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _dead: str | None = None

    # What a target does.

    async def restart(self) -> None:
        if not self.can_restart and self.starts:
            await trio.sleep(0.25)
            return
        self.stop()
        self.starts += 1
        self._dead = None
        self._scope = trio.CancelScope()
        self._endpoint = self.network.bind(HOST, 69)
        self.nursery.start_soon(self._serve, self._endpoint, self._scope)
        await trio.lowlevel.checkpoint()

    def death(self) -> str | None:
        return self._dead

    def complaint(self) -> str:
        return ""

    async def usage(self) -> Usage | None:
        await trio.lowlevel.checkpoint()
        return Usage(descriptors=len(self._transfers), processes=1)

    # What a server does.

    def stop(self) -> None:
        self._scope.cancel()
        if self._endpoint is not None:
            self._endpoint.close()
        for endpoint in self._transfers:
            endpoint.close()
        self._transfers.clear()

    def _die(self) -> None:
        self._dead = "exit status 1"
        self.stop()

    async def _serve(self, endpoint: SimEndpoint, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as transfers:
                await self._listen(endpoint, transfers)

    async def _listen(self, endpoint: SimEndpoint, transfers: trio.Nursery) -> None:
        while self._dead is None:
            try:
                await endpoint.wait_readable()
            except trio.ClosedResourceError:
                return
            for octets, peer in [(bytes(each.data), each.peer) for each in endpoint.receive()]:
                if self.bug == "wedges" and len(octets) < 2:
                    await trio.sleep_forever()
                if self.bug == "sleeps" and octets[:2] == b"\0\4":
                    await trio.sleep(3.0)
                self._take(octets, peer, endpoint, transfers)

    def _take(
        self, octets: bytes, peer: bytes, endpoint: SimEndpoint, transfers: trio.Nursery
    ) -> None:
        if self._dead is not None:
            return
        opcode, words = octets[:2], octets[2:].split(b"\0")
        if opcode == b"\0\5" and self.bug == "answers errors":
            endpoint.send([Packet(peer, error(4, b"what?"))])
        if opcode not in (b"\0\1", b"\0\2") or len(words) < 3:
            return
        if self.bug == "dies" and b"\xff" in words[0]:
            self._die()
            return
        here = LocalAddress(address.host_octets(SERVER))
        transfer = self.network.open(address.family_of(SERVER), here, None)
        self._transfers.append(transfer)
        content = self._content(words[0])
        if opcode == b"\0\2" or content is None:
            text = b"no " + ROOT.encode() + b"x" if self.bug == "tells paths" else b"no"
            transfer.send([Packet(peer, error(1, text))])
            if self.bug != "leaks descriptors":
                self._close(transfer)
            return
        transfers.start_soon(self._send, transfer, peer, content, words[2:-1])

    def _close(self, transfer: SimEndpoint) -> None:
        if transfer in self._transfers:
            self._transfers.remove(transfer)
            transfer.close()

    def _content(self, name: bytes) -> bytes | None:
        text = name.decode("latin-1")
        if self.bug == "goes up":
            # Lexical at the beginning, by the kernel's rule then: each folder on the way must exist.
            path = ROOT + text.lstrip("./")
            parts = path.split("/")
            for index in range(1, len(parts)):
                if posixpath.normpath("/".join(parts[:index]) or "/") not in FOLDERS:
                    return None
            return FILES.get(posixpath.normpath(path))
        if self.bug == "checks a prefix":
            path = posixpath.normpath(ROOT + text)
            return FILES.get(path) if path.startswith(ROOT.rstrip("/")) else None
        return FILES.get(ROOT + text)

    async def _send(
        self,
        transfer: SimEndpoint,
        peer: bytes,
        content: bytes,
        options: list[bytes],
    ) -> None:
        try:
            await self._send_all(transfer, peer, content, options)
        except trio.ClosedResourceError:
            pass
        finally:
            self._close(transfer)

    async def _send_all(
        self, transfer: SimEndpoint, peer: bytes, content: bytes, options: list[bytes]
    ) -> None:
        asked = dict(zip(options[::2], options[1::2], strict=False))
        value = asked.get(b"blksize", b"")
        blksize, granted = 512, b""
        if value.isdigit() and 8 <= int(value) <= 65464:
            blksize = min(int(value), 1024) * (2 if self.bug == "grants more" else 1)
            granted = b"blksize\0%d\0" % blksize
        if self.bug == "grants unasked" and granted:
            granted += b"tsize\0%d\0" % len(content)
        if granted and await self._ask(transfer, peer, b"\0\6" + granted, 0) is None:
            return
        count = len(content) // blksize + 1
        for number in range(1, count + 1):
            packet = data(number, content[(number - 1) * blksize : number * blksize])
            copies = 20 if self.bug == "amplifies" and number == 1 else 1
            transfer.send([Packet(peer, packet)] * (copies - 1))
            if await self._ask(transfer, peer, packet, number) is None:
                return

    async def _ask(
        self, transfer: SimEndpoint, peer: bytes, packet: bytes, number: int
    ) -> bytes | None:
        """Send a packet until its ACK comes; None if the transfer is over."""
        for _ in range(3):
            transfer.send([Packet(peer, packet)])
            with trio.move_on_after(1.0):
                while True:
                    await transfer.wait_readable()
                    for each in transfer.receive():
                        octets, source = bytes(each.data), each.peer
                        if source != peer:
                            if self.bug == "minds strangers":
                                transfer.send([Packet(peer, error(0, b"who is that?"))])
                                return None
                            continue
                        if octets[:2] == b"\0\5":
                            return None
                        if octets == b"\0\4" + number.to_bytes(2, "big"):
                            return octets
                        earlier = b"\0\4" + (max(number, 1) - 1).to_bytes(2, "big")
                        if number and octets == earlier and self.bug == "sorcerer":
                            transfer.send([Packet(peer, packet)])
        return None
