"""Datagrams with forged source addresses: a helper program of the attacks, for root.

`python -m tests.attacks.forged KIND HOST PORT RATE SECONDS NETWORK [SEED]`: RATE datagrams a second
from addresses of NETWORK, like 127.0.0.0/8, each with a port of its own.  HOST must be an address of
this machine, or of a namespace of its own; nothing leaves either.  Prints how many were sent, and
their octets.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Final

Draw = Callable[[random.Random], bytes]

_UDP: Final = struct.Struct("!4H")
_IP: Final = struct.Struct("!BBHHHBBH4s4s")


def _options(draw: random.Random) -> bytes:
    return b"blksize\0%d\0tsize\x000\0windowsize\0%d\0" % (
        draw.choice([512, 1428, 65464]),
        draw.choice([1, 16, 64]),
    )


def _bomb(draw: random.Random) -> bytes:
    count = draw.choice([20, 60])
    words = [
        b"%d\0" % draw.randrange(10**9) + b"9" * draw.randrange(1, 9) + b"\0" for _ in range(count)
    ]
    return b"\0\1boot/small\0octet\0" + b"blksize\0" + b"8" * 300 + b"\0" + b"".join(words)


KINDS: Final[dict[str, Draw]] = {
    "rrq": lambda _: b"\0\1boot/small\0octet\0",
    "rrq-options": lambda draw: b"\0\1boot/big\0octet\0" + _options(draw),
    "rrq-missing": lambda draw: b"\0\1boot/no-%d\0octet\0" % draw.randrange(10**6),
    "wrq": lambda draw: b"\0\2up/f-%d\0octet\0tsize\x00100\0" % draw.randrange(10**6),
    "malformed": lambda draw: b"\0\1" + draw.randbytes(draw.randrange(60)),
    "noise": lambda draw: draw.randbytes(draw.randrange(1, 200)),
    "strays": lambda draw: draw.choice([b"\0\4\0\1", b"\0\3\0\1abc", b"\0\5\0\0bye\0"]),
    "bombs": _bomb,
    "logs": lambda draw: b"\0\1\x1b[2J\r\n2026-01-01 forged %d\0octet\0" % draw.randrange(10**6),
}


def main() -> None:
    """Send until the time is up."""
    kind, host, port, rate, seconds, network, *seed = sys.argv[1:]
    draw = random.Random(int(seed[0]) if seed else 1)
    payload, sources = KINDS[kind], IPv4Network(network)
    base, size = int(sources.network_address), sources.num_addresses
    target, per_second = (host, 0), float(rate)
    packed = socket.inet_aton(host)
    sent = octets = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < float(seconds):
            due = int(now * per_second)
            if sent >= due:
                time.sleep(0.0005)
                continue
            for _ in range(min(due - sent, 200)):
                data = payload(draw)
                source = (base + draw.randrange(1, size - 1)).to_bytes(4, "big")
                head = _IP.pack(0x45, 0, 0, 0, 0, 64, 17, 0, source, packed)
                udp = _UDP.pack(draw.randrange(1024, 65535), int(port), 8 + len(data), 0)
                try:
                    sock.sendto(head + udp + data, target)
                except OSError:  # the receiver is full: nothing is lost on us
                    continue
                octets += len(data)
                sent += 1
            sent = max(sent, due - int(per_second))  # who cannot keep up does not catch up
    sys.stdout.write(f"{sent} {octets}\n")


if __name__ == "__main__":
    main()
