"""Write down the TFTP datagrams that cross one interface: the evidence that no server's log can colour.

Run as a program inside a network namespace (`python witness.py IFACE`), it prints a line for each
UDP datagram, as `Datagram.line` has it, DATA excepted: megabytes of octets are checked by
the client's own checksum. Imported, it gives `Datagram` to read the lines back. Standard library
only: it starts in every namespace without the project.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import NamedTuple, Self

_ETH_P_ALL = 3
_DHCP_PORTS = {67, 68, 546, 547}
_OPCODE_DATA = 3
_RECEIVE_BUFFER_OCTETS = 8 << 20
# linux/asm-generic/socket.h: past net.core.rmem_max, which holds only about 90 frames by default.
_SO_RCVBUFFORCE = 33


class Datagram(NamedTuple):
    """One UDP datagram as it crossed the wire; `fragmented` and `dont_fragment` are IPv4's bits."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    fragmented: bool
    dont_fragment: bool
    payload: bytes

    @property
    def opcode(self) -> int:
        return int.from_bytes(self.payload[:2], "big")

    @property
    def line(self) -> str:
        """The datagram in words, payload in hexadecimal digits."""
        flags = "F" * self.fragmented + "D" * self.dont_fragment or "-"
        return (
            f"{self.source} {self.source_port} {self.destination} {self.destination_port}"
            f" {flags} {self.payload.hex()}"
        )

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read back what `line` wrote. Raises ValueError for anything else."""
        source, source_port, destination, destination_port, flags, payload = line.split(" ")
        return cls(
            source,
            int(source_port),
            destination,
            int(destination_port),
            "F" in flags,
            "D" in flags,
            bytes.fromhex(payload),
        )


def parse(frame: bytes) -> Datagram | None:
    """Return the UDP datagram in an Ethernet frame; None for everything else."""
    if len(frame) < 14 + 20 + 8:
        return None
    fragment_bits = 0
    if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP:
        header_octets = 14 + (frame[14] & 0xF) * 4
        (fragment_bits,) = struct.unpack_from("!H", frame, 20)
        source, destination = frame[26:30], frame[30:34]
    elif frame[12:14] == b"\x86\xdd" and frame[20] == socket.IPPROTO_UDP:
        header_octets = 14 + 40
        source, destination = frame[22:38], frame[38:54]
    else:
        return None
    if fragment_bits & 0x1FFF:  # a later fragment has no UDP header: its first one was reported
        return None
    ports = struct.unpack_from("!HHH", frame, header_octets)
    return Datagram(
        str(ipaddress.ip_address(source)),
        ports[0],
        str(ipaddress.ip_address(destination)),
        ports[1],
        bool(fragment_bits & 0x2000),
        bool(fragment_bits & 0x4000),
        # The length field, not the frame's end: short frames are padded to 60 octets.
        frame[header_octets + 8 : header_octets + max(8, ports[2])],
    )


def main(interface: str) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_OCTETS)
        tap.bind((interface, _ETH_P_ALL))
        print("watching", interface, flush=True)  # noqa: T201
        while True:
            seen = parse(tap.recv(65535 + 14))
            if seen is None or {seen.source_port, seen.destination_port} & _DHCP_PORTS:
                continue
            if seen.opcode != _OPCODE_DATA or seen.fragmented:
                print(seen.line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
