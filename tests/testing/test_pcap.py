"""Captures are what Wireshark reads: looked at octet by octet, and by tshark where there is one."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from snowowl.testing.link import Datagram
from snowowl.testing.pcap import LINKTYPE_RAW, PcapWriter, packet_of
from snowowl.testing.playbook import ack, data, oack
from snowowl.testing.simnetwork import socket_address

V4 = socket_address("192.0.2.9", 2000), socket_address("192.0.2.1", 69)
V6 = socket_address("2001:db8::9", 2000), socket_address("2001:db8::1", 69)


def sum_of(octets: bytes) -> int:
    """Return the sum in ones' complement of 16-bit words: 0xFFFF where a checksum is right."""
    octets += b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


def test_a_file_of_packets() -> None:
    stream = io.BytesIO()
    write = PcapWriter(stream)
    write(Datagram(1.5, *V4, b"abc", ()))
    octets = stream.getvalue()
    assert octets[:4] == b"\xd4\xc3\xb2\xa1"
    assert struct.unpack("<I", octets[20:24]) == (LINKTYPE_RAW,)
    assert struct.unpack("<IIII", octets[24:40]) == (1, 500_000, 31, 31)
    assert octets[40:] == packet_of(*V4, b"abc")


@pytest.mark.parametrize("payload", [b"", b"x", b"even", bytes(range(256)) * 5])
def test_checksums_are_right(payload: bytes) -> None:
    packet = packet_of(*V4, payload)
    assert packet[:2] == b"\x45\0"
    assert struct.unpack(">H", packet[2:4]) == (len(packet),)
    assert sum_of(packet[:20]) == 0xFFFF
    length = struct.pack(">HH", 17, 8 + len(payload))
    assert sum_of(packet[12:20] + length + packet[20:]) == 0xFFFF
    packet = packet_of(*V6, payload)
    assert packet[0] >> 4 == 6
    assert sum_of(packet[8:40] + length + packet[40:]) == 0xFFFF


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_decodes_tftp(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    with path.open("wb") as stream:
        writer = PcapWriter(stream)
        for at, (client, server) in enumerate((V4, V6)):
            answers = server[:2] + (5000).to_bytes(2, "big") + server[4:]
            writer.write(at, client, server, b"\0\1kernel\0octet\0blksize\x001024\0")
            writer.write(at + 0.1, answers, client, oack(blksize=1024))
            writer.write(at + 0.2, client, answers, ack(0))
            writer.write(at + 0.3, answers, client, data(1, b"last"))
    told = subprocess.run(
        [
            *("tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE", "-T", "fields"),
            *("-e", "udp.checksum.status", "-e", "_ws.col.Info"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = told.stdout.splitlines()
    assert len(lines) == 8
    assert all(line.startswith("1\t") for line in lines), lines  # good
    for line, words in zip(
        lines,
        ["Read Request, File: kernel", "blksize=1024", "Block: 0", "Block: 1"] * 2,
        strict=True,
    ):
        assert words in line
