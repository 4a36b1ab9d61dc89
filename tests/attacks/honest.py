"""Boards that boot while a server is attacked: a helper program of the attacks.

`python -m tests.attacks.honest HOST PORT SECONDS FILE NAME ADDRESS...`: at each address a client
fetches NAME again and again, as boot ROMs do: blocks of 1428 octets, lock-step, the request and each
ACK sent again after 1, 2, 4 s; every octet is compared with FILE.  Prints one JSON document.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Final

BLKSIZE: Final = 1428
RESEND_SECONDS: Final = 1.0
GIVEN_UP_SECONDS: Final = 20.0
PAUSE_SECONDS: Final = 0.05


class BrokenError(Exception):
    """A fetch went wrong; the text says how."""


def fetch(server: tuple[str, int], name: str, octets: bytes, address: str) -> None:
    """Fetch a file once.  Raises BrokenError."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind((address, 0))
        end = time.monotonic() + GIVEN_UP_SECONDS
        packet = b"\0\1%b\0octet\0blksize\0%d\0" % (name.encode(), BLKSIZE)
        peer, block, pause = server, 0, RESEND_SECONDS
        sock.sendto(packet, peer)
        while time.monotonic() < end:
            sock.settimeout(pause)
            try:
                answer, source = sock.recvfrom(65536)
            except TimeoutError:
                pause *= 2
                sock.sendto(packet, peer)
                continue
            except OSError as error:
                raise BrokenError(str(error)) from error
            if peer == server:
                peer = source
            opcode, number = answer[1], int.from_bytes(answer[2:4], "big")
            if opcode == 5:
                raise BrokenError(answer[4:-1].decode("latin-1"))
            if source != peer or (opcode == 6 and block) or (opcode == 3 and number != block + 1):
                continue
            if opcode == 3:
                block = number
                start = (block - 1) * BLKSIZE
                if answer[4:] != octets[start : start + BLKSIZE]:
                    raise BrokenError(f"block {block} is wrong")
            packet, pause = b"\0\4" + block.to_bytes(2, "big"), RESEND_SECONDS
            sock.sendto(packet, peer)
            if opcode == 3 and len(answer) - 4 < BLKSIZE:
                return
        raise BrokenError(f"no file within {GIVEN_UP_SECONDS:g} s")


def main() -> None:
    """Fetch until the time is up, and tell what came of it."""
    host, port, seconds, file, name, *addresses = sys.argv[1:]
    server, octets = (host, int(port)), Path(file).read_bytes()
    end = time.monotonic() + float(seconds)
    took: list[float] = []
    failures: list[str] = []

    def boot(address: str) -> None:
        while time.monotonic() < end:
            start = time.monotonic()
            try:
                fetch(server, name, octets, address)
            except BrokenError as error:
                failures.append(str(error))
            else:
                took.append(time.monotonic() - start)
            time.sleep(PAUSE_SECONDS)

    threads = [threading.Thread(target=boot, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"took": took, "failures": failures}))


if __name__ == "__main__":
    main()
