"""What a forged address is sent for each kind of datagram, measured: octets out for octets in.

`python -m tests.attacks.amplification` measures a server on loopback, which takes half a minute, as it
must wait until the server has given up; `tests/server/test_amplification.py` plays the same kinds on
the simulated network.  On the wire each datagram has headers in both directions (14 octets of Ethernet,
20 of IPv4, 8 of UDP), and a frame is 60 octets at least: the second ratio counts these.
"""

from __future__ import annotations

import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from snowowl.config import AccessConfig, Config, LimitsConfig, ServerConfig, WriteConfig
from snowowl.testing.testserver import serving
from snowowl.wire.codec import encode
from snowowl.wire.packets import Options, ReadRequest, WriteRequest

FRAME_MIN: Final = 60
HEADERS: Final = 14 + 20 + 8
PATIENCE_SECONDS: Final = 12.0
"""A server that doubles a wait of 1 s twice has given up by then."""
FILE: Final = "boot/kernel"
FILE_OCTETS: Final = 1 << 20
NETWORKS: Final = "192.0.2.0/24"


def rrq(name: str = FILE, **options: int) -> bytes:
    """Return an RRQ."""
    return encode(ReadRequest(name.encode(), options=_options(options)))


def wrq(name: str, **options: int) -> bytes:
    """Return a WRQ."""
    return encode(WriteRequest(name.encode(), options=_options(options)))


def _options(options: dict[str, int]) -> Options:
    return tuple((name.encode(), b"%d" % value) for name, value in options.items())


@attrs.frozen
class Kind:
    """One way to make a server send something to somebody."""

    name: str
    datagrams: Sequence[bytes]
    to_transfer: bool = False
    """To a port that transfers have, not to the listening one."""
    factor_max: float = 1.0
    """Octets of payload out for each one in, at most."""
    datagrams_max: float = 1.0
    """Datagrams out for each one in, at most."""
    when: str = ""
    """What is different about the server: it is `busy`, or serves only `others`."""


KINDS: Final = (
    # Three times a block of 512 octets, for a request of 20: nothing smaller is a TFTP server.
    Kind("RRQ without options", [rrq()], factor_max=3 * 516 / 20, datagrams_max=3),
    Kind("the same, 100 times", [rrq()] * 100, factor_max=1.05 * 516 / 20, datagrams_max=1.05),
    Kind("RRQ, OACK", [rrq(tsize=0)], factor_max=3.0, datagrams_max=3),
    Kind(
        "RRQ, OACK of a window",
        [rrq(blksize=1428, tsize=0, windowsize=64)],
        factor_max=3.0,
        datagrams_max=3,
    ),
    Kind("RRQ, OACK, timeout", [rrq(timeout=1, blksize=65464)], factor_max=3.0, datagrams_max=3),
    Kind("RRQ, missing file", [rrq("boot/missing.img")]),
    Kind("RRQ, missing, short", [rrq("x")], factor_max=18 / 10),
    Kind("RRQ out of the root", [rrq("../../../etc/passwd")]),
    Kind("RRQ, unknown mode", [b"\0\1file\0unheard-of\0"]),
    Kind("RRQ without mode", [b"\0\1f\0"], factor_max=18 / 4),
    Kind("opcode 7", [b"\0\7"], factor_max=18 / 2),
    Kind("WRQ without options", [wrq("up-a")], factor_max=3 * 4 / 13, datagrams_max=3),
    Kind("WRQ, OACK", [wrq("up-b", tsize=9, blksize=512)], factor_max=3.0, datagrams_max=3),
    Kind("WRQ, refused", [wrq(FILE)]),
    Kind("stray ACK to port 69", [b"\0\4\0\1"], datagrams_max=0),
    Kind("stray DATA to port 69", [b"\0\3\0\1" + bytes(512)], datagrams_max=0),
    Kind("ERROR to port 69", [b"\0\5\0\0no\0"], datagrams_max=0),
    Kind("noise to port 69", [b"\0", b"", b"\0\1"[:1]], datagrams_max=0),
    Kind("stray ACK to a transfer's port", [b"\0\4\0\1"], to_transfer=True, factor_max=18 / 4),
    Kind("stray DATA to a transfer's port", [b"\0\3\0\1" + bytes(512)], to_transfer=True),
    Kind("ERROR to a transfer's port", [b"\0\5\0\5no\0"], to_transfer=True, datagrams_max=0),
    Kind("RRQ, its network denied", [rrq()], when="others"),
    Kind("RRQ, server busy", [rrq()], when="busy"),
)


@attrs.frozen
class Measured:
    """What went in, and what came out."""

    kind: Kind
    came: Sequence[bytes]

    @property
    def factor(self) -> float:
        """Octets of payload out for each one in."""
        return sum(map(len, self.came)) / max(1, sum(map(len, self.kind.datagrams)))

    @property
    def wire_factor(self) -> float:
        """The same with all headers, and no frame shorter than a frame can be."""
        return _framed(self.came) / _framed(self.kind.datagrams)

    def check(self) -> None:
        """Assert that it is no more than it may be."""
        assert self.factor <= self.kind.factor_max + 1e-9, (self.kind.name, self.factor)
        count = len(self.came) / len(self.kind.datagrams)
        assert count <= self.kind.datagrams_max, (self.kind.name, count)


def _framed(datagrams: Sequence[bytes]) -> int:
    return sum(max(FRAME_MIN, HEADERS + len(octets)) for octets in datagrams)


def config_for(when: str, root: Path) -> Config:
    """Return the configuration of a server under which a kind is measured."""
    return Config(
        server=ServerConfig(root=root),
        write=WriteConfig(enabled=True),
        access=AccessConfig(allow=(NETWORKS,) if when == "others" else ()),
        limits=LimitsConfig(transfers_max=1) if when == "busy" else LimitsConfig(),
    )


def table(results: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| datagrams in | octets in | datagrams out | octets out | payload | with headers |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for result in results:
        octets_in = sum(map(len, result.kind.datagrams))
        octets_out = sum(map(len, result.came))
        yield (
            f"| {result.kind.name} | {octets_in} | {len(result.came)} | {octets_out} |"
            f" {result.factor:.2f} | {result.wire_factor:.2f} |"
        )


def _measure_all(root: Path) -> list[Measured]:
    """Send every kind from a socket of its own, all at once, and listen."""
    socks: dict[socket.socket, tuple[Kind, list[bytes]]] = {}
    results: list[Measured] = []
    (root / FILE).parent.mkdir()
    (root / FILE).write_bytes(bytes(FILE_OCTETS))
    whens = sorted({kind.when for kind in KINDS})
    for when in whens:
        config = config_for(when, root)
        transfer = ("", 0)
        with (
            serving(root=root, config=config) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opener,
        ):
            target = transfer = (server.host, server.port)
            opener.settimeout(5.0)
            if when != "others":
                opener.sendto(rrq(), target)
                _, transfer = opener.recvfrom(2048)
            for kind in KINDS:
                if kind.when != when:
                    continue
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                socks[sock] = (kind, [])
                for octets in kind.datagrams:
                    sock.sendto(octets, transfer if kind.to_transfer else target)
                    time.sleep(0.0005)  # so that the first of many is answered
            stop = time.monotonic() + (PATIENCE_SECONDS if not when else 1.0)
            while (left := stop - time.monotonic()) > 0:
                readable, _, _ = select.select(list(socks), [], [], left)
                for sock in readable:
                    socks[sock][1].append(sock.recv(65535))
            for sock, (kind, came) in socks.items():
                results.append(Measured(kind, came))
                sock.close()
            socks.clear()
    return sorted(results, key=lambda result: KINDS.index(result.kind))


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        results = _measure_all(Path(name))
    sys.stdout.write("\n".join(table(results)) + "\n")
    for result in results:
        result.check()


if __name__ == "__main__":
    main()
