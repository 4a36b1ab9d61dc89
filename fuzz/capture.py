"""Notes what a real client and a real server say to each other, as seeds.

    python fuzz/capture.py curl --about "curl 7.88 gets 1300 octets" --server 127.0.0.1:6969 \\
        --size 1300 -- curl -s -o /dev/null tftp://{host}:{port}/f

The client is run against a relay on loopback: `{host}` and `{port}` in its command are the relay's.
What passes is written to `corpus/<target>/NAME.txt`: to `decode` and `server` what the client sends,
to the machine of the request both sides, to `client` what the server answers.  Octets are kept as
they were; no server and no client knows that somebody listens.
"""

from __future__ import annotations

import argparse
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fuzz import corpus
from fuzz.seeds import Seed, call, text_of

QUIET_SECONDS: Final = 0.3
"""After the client has ended, for what is still on its way."""

LOOPBACK: Final = "127.0.0.1"

Said = tuple[bool, bytes]
"""Whether the client said it, and what."""


class Relay:
    """Stands between a client and a server, with a TID of its own towards each."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.said: list[Said] = []
        self._server = server
        self._listening = _bound()
        self._tid = _bound()
        self._upstream = _bound()
        self._client: tuple[str, int] | None = None
        self._sockets = (self._listening, self._tid, self._upstream)
        self._selector = selectors.DefaultSelector()
        for sock in self._sockets:
            self._selector.register(sock, selectors.EVENT_READ)

    @property
    def port(self) -> int:
        """Where the client is to ask."""
        return int(self._listening.getsockname()[1])

    def pump(self, seconds: float) -> None:
        """Pass on what comes for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._pass_on(key.fd)

    def _pass_on(self, fd: int) -> None:
        sock = next(sock for sock in self._sockets if sock.fileno() == fd)
        octets, source = sock.recvfrom(65536)
        if sock is self._upstream:
            self._server = source  # its TID
            self.said.append((False, octets))
            if self._client is not None:
                self._tid.sendto(octets, self._client)
        else:
            self.said.append((True, octets))
            self._client = source
            self._upstream.sendto(octets, self._server)

    def close(self) -> None:
        """Close the sockets."""
        self._selector.close()
        for sock in self._sockets:
            sock.close()


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 0))
    return sock


def record(command: list[str], server: tuple[str, int], *, seconds: float = 20.0) -> list[Said]:
    """Run a client through a relay; return what was said.  A client that hangs is killed."""
    relay = Relay(server)
    words = [word.format(host=LOOPBACK, port=relay.port) for word in command]
    try:
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as client:
            end = time.monotonic() + seconds
            while client.poll() is None and time.monotonic() < end:
                relay.pump(0.05)
            client.kill()
        relay.pump(QUIET_SECONDS)
        return relay.said
    finally:
        relay.close()


def seeds_of(said: list[Said], size: int) -> dict[str, list[Seed]]:
    """Return the seeds of each target that a conversation makes."""
    asked = [octets for is_client, octets in said if is_client]
    answered = [octets for is_client, octets in said if not is_client]
    if not asked or asked[0][:2] not in (b"\0\1", b"\0\2"):
        raise SystemExit("capture.py: the client asked for nothing")
    machine = "read_machine" if asked[0][1] == 1 else "write_machine"
    as_server = [
        call("begin", "server", asked[0], size, 0),
        *(call("receive", one) for one in asked[1:]),
    ]
    as_client = [call("begin", "client", asked[0], size, 0)]
    as_client += [call("receive", one) for one in answered]
    to_server = [call("setting", 0, 0), call("send", 0, 0, asked[0])]
    to_server += [call("send", 0, 1, one) for one in asked[1:]]
    to_client = [call("setting", asked[0][1] - 1, 0, 512, 1)]
    to_client += [call("answer", 1, one) for one in answered]
    return {
        "decode": [(call("decode", one),) for one in dict.fromkeys(asked)],
        machine: [tuple(as_server), tuple(as_client)],
        "server": [tuple(to_server)],
        "client": [tuple(to_client)],
    }


def write(folder: Path, name: str, about: str, seeds: dict[str, list[Seed]]) -> None:
    """Write the files."""
    for target, found in seeds.items():
        between = "" if target in corpus.ONE_CALL else "\n"
        (folder / target).mkdir(parents=True, exist_ok=True)
        text = f"# {about}\n" + between.join(map(text_of, found))
        (folder / target / f"{name}.txt").write_text(text, encoding="utf-8")


def main() -> None:
    """Capture one conversation."""
    parser = argparse.ArgumentParser(prog="capture.py", description=__doc__.split("\n")[0])
    parser.add_argument("name", help="the name of the files")
    parser.add_argument("--about", required=True, help="client, version, what it does")
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--size", type=int, required=True, help="octets of the file")
    parser.add_argument("--folder", type=Path, default=corpus.FOLDER)
    parser.add_argument("command", nargs="+", help="the client's command, after --")
    options = parser.parse_args()
    host, _, port = options.server.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        parser.error(f"{options.server!r} is not of the form HOST:PORT")
    if not re.fullmatch(r"[a-z0-9-]+", options.name):
        parser.error(f"{options.name!r} is no name: small letters, digits and dashes")
    try:
        said = record(options.command, (host, int(port)))
    except (OSError, LookupError, ValueError) as error:  # no such program, or odd braces
        parser.error(f"the client cannot be run: {error}")
    write(options.folder, options.name, options.about, seeds_of(said, options.size))
    print(f"{options.name}: {len(said)} datagrams")


if __name__ == "__main__":
    main()
