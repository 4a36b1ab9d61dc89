"""A frail server on real UDP, to be started by a command: `python frail.py PORT ROOT [BUG]`.

Reads only, in lock-step, one transfer at a time from the listening port.  It dies of a name with 0xFF, or
by the bug `child` leaves a process behind that does not end by itself.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path


def main() -> None:
    port, root = int(sys.argv[1]), Path(sys.argv[2])
    bug = sys.argv[3] if len(sys.argv) > 3 else ""
    if bug == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if bug == "refuses":
        sys.exit("there is no such thing")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))
        files: dict[tuple[str, int], bytes] = {}
        while True:
            octets, peer = sock.recvfrom(65536)
            if octets[:2] == b"\0\1":
                name = (
                    octets[2:].split(b"\0")[0].decode("ascii", "strict" if not bug else "replace")
                )
                path = root / name.lstrip("/")
                if not name or ".." in name or len(name) > 200 or not path.is_file():
                    sock.sendto(b"\0\5\0\1no\0", peer)
                    continue
                files[peer] = path.read_bytes()
                sock.sendto(b"\0\3\0\1" + files[peer][:512], peer)
            elif octets[:2] == b"\0\4" and len(octets) == 4 and peer in files:
                number = int.from_bytes(octets[2:], "big")
                if number * 512 <= len(files[peer]):
                    block = (number + 1).to_bytes(2, "big")
                    sock.sendto(b"\0\3" + block + files[peer][number * 512 :][:512], peer)


if __name__ == "__main__":
    main()
