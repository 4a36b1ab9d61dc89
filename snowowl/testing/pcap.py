"""Captures for Wireshark: a simulated network's datagrams as a classic pcap file.

The link type is RAW: each packet is an IPv4 or IPv6 packet with UDP in it, made up from the two
socket addresses, with right checksums.  A capture is made where datagrams are sent, so what the
network loses later is in it.  Time begins at 1970 with the simulation's zero.
"""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO, Final

from snowowl.datagram import address
from snowowl.testing.link import Datagram

_FILE: Final = struct.Struct("<IHHiIII")
_RECORD: Final = struct.Struct("<IIII")
_MAGIC: Final = 0xA1B2C3D4  # times in microseconds; the octet order is told by it
_SNAPLEN: Final = 262144
LINKTYPE_RAW: Final = 101
"""Packets begin with their IP header (https://www.tcpdump.org/linktypes.html)."""

_UDP: Final = 17
_TTL: Final = 64


class PcapWriter:
    """Writes packets to a binary stream; append it to `SimNetwork.watchers`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.write(_FILE.pack(_MAGIC, 2, 4, 0, 0, _SNAPLEN, LINKTYPE_RAW))

    def __call__(self, datagram: Datagram) -> None:
        """Write a datagram that is being sent."""
        self.write(datagram.sent_at, datagram.source, datagram.target, datagram.octets)

    def write(self, at: float, source: bytes, target: bytes, payload: bytes) -> None:
        """Write a packet: when in seconds, from and to which socket address, and the octets of UDP."""
        packet = packet_of(source, target, payload)
        microseconds = round(at * 1_000_000)
        seconds, rest = divmod(microseconds, 1_000_000)
        self._stream.write(_RECORD.pack(seconds, rest, len(packet), len(packet)) + packet)


def packet_of(source: bytes, target: bytes, payload: bytes) -> bytes:
    """Return the IP packet that carries a datagram between two socket addresses of one family."""
    family = address.family_of(target)
    hosts = address.host_octets(source) + address.host_octets(target)
    length = 8 + len(payload)
    ports = struct.pack(">HH", address.port_of(source), address.port_of(target))
    # RFC 768, RFC 8200 section 8.1: the sum is also over the addresses, the protocol and the length.
    pseudo = hosts + struct.pack(">IHBB", length, 0, 0, _UDP)
    checksum = _checksum(pseudo + ports + struct.pack(">HH", length, 0) + payload) or 0xFFFF
    udp = ports + struct.pack(">HH", length, checksum) + payload
    if family == socket.AF_INET6:
        return struct.pack(">IHBB", 6 << 28, length, _UDP, _TTL) + hosts + udp
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 0, 0, _TTL, _UDP)
    return start + struct.pack(">H", _checksum(start + b"\0\0" + hosts)) + hosts + udp


def _checksum(octets: bytes) -> int:
    """Return the checksum of the internet (RFC 1071)."""
    padded = octets + b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
