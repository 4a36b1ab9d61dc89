"""Clients that hold transfers open: a helper program of the attacks.

`python -m tests.attacks.held KIND HOST PORT COUNT SECONDS NAME ADDRESS...`: COUNT transfers, spread
over the addresses.  `half-open` asks and never answers; `slow` acknowledges one block each 4 s, as
late as is good; `silent` answers the OACK and is silent from then on.  Prints how many were begun and
how many were refused.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from typing import Final

ACK_SECONDS: Final = 4.0
SOCKETS_MAX: Final = 3000
"""Sockets at a time; what was asked by one that is closed is half-open all the same."""


def main() -> None:
    """Hold until the time is up."""
    kind, host, port, count, seconds, name, *addresses = sys.argv[1:]
    server, wanted = (host, int(port)), int(count)
    end = time.monotonic() + float(seconds)
    request = b"\0\1%b\0octet\0blksize\x008\0" % name.encode()
    selector = selectors.DefaultSelector()
    begun = refused = 0
    acks: list[tuple[float, socket.socket, bytes, tuple[str, int]]] = []
    held: list[socket.socket] = []
    while time.monotonic() < end:
        for _ in range(50):
            if begun >= wanted:
                break
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((addresses[begun % len(addresses)], 0))
            sock.sendto(request, server)
            begun += 1
            held.append(sock)
            if kind != "half-open":
                selector.register(sock, selectors.EVENT_READ)
            elif len(held) > SOCKETS_MAX:
                held.pop(0).close()
        if not selector.get_map():
            time.sleep(0.002)
            continue
        for key, _ in selector.select(0.002):
            assert isinstance(key.fileobj, socket.socket)
            try:
                answer, source = key.fileobj.recvfrom(65536)
            except OSError:
                continue
            if answer[1] == 5:
                refused += 1
                selector.unregister(key.fileobj)
                key.fileobj.close()
            elif answer[1] == 6:
                key.fileobj.sendto(b"\0\4\0\0", source)
            elif kind == "slow":
                acks.append((time.monotonic() + ACK_SECONDS, key.fileobj, answer[2:4], source))
        while acks and acks[0][0] < time.monotonic():
            _, sock, number, source = acks.pop(0)
            if sock.fileno() >= 0:
                sock.sendto(b"\0\4" + number, source)
    sys.stdout.write(f"{begun} {refused}\n")


if __name__ == "__main__":
    main()
