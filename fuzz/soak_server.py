"""Fuzzed datagrams by the million against a running server, on real loopback sockets.

For each rung and each way to choose TIDs there is a `snowowl serve` process.  Peers that know the
protocol as little as they like send it requests, and datagrams to transfers of theirs and of others;
they close their ports and come back; in between there are clients that fetch and store files, and
whose every octet is compared.  Then there is quiet, and what the server still holds is looked at.

The peers' ports are few and stay the same, so that what the server remembers of peers is bounded by
the warm-up; and after each burst the server is asked for a file that is not there, and its answer is
waited for, so that what was sent is heard and not dropped by the kernel.
"""

from __future__ import annotations

import functools
import random
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from fuzz import corpus
from fuzz.growth import Growth, growth
from fuzz.mutate import Mutator
from fuzz.soak_core import rss
from tests.real.harness import Server, eventually, fetch, serving, store
from tests.real.swarm import Link, Transfer

RUNGS: Final = ("portable", "mmsg", "gso")
TIDS: Final = ("shared", "own", "listen")

Way = tuple[str, str]
"""A rung, and how TIDs are chosen."""

WAYS: Final[tuple[Way, ...]] = tuple((rung, tid) for rung in RUNGS for tid in TIDS)
PEERS: Final = 64
PEERS_HOST: Final = "127.0.0.2"
CLIENTS_HOST: Final = "127.0.0.3"
"""Addresses of their own: ports change hands, and what is still sent to a port must not come to who has
it next, be it from the server or from a peer."""

CLIENTS: Final = 3
"""That know the protocol, at a time."""

BURST: Final = 40
"""Datagrams between two looks at what has come: they fit into any receive buffer."""

SAMPLES: Final = 40
RSS_BOUND: Final = 2 << 20
"""Octets, in one process.  With a million datagrams 83,000 are measured in each: 25 octets for each
are found, which is less than any object that it could keep of one."""

DESCRIPTORS_BOUND: Final = {"shared": 4, "own": 0, "listen": 0}
"""More than at the start: the sockets that transfers share stay open; where they share none, none do."""

ANSWER_SECONDS: Final = 20.0
"""For a busy machine; an answer takes a millisecond."""

QUIET_SECONDS: Final = 60.0
"""For what still dallies (30 s at most)."""

EXCERPT_MAX: Final = 4000
"""Characters of a failure, which may hold the server's whole log."""

NAMES: Final = (
    *(b"f", b"kernel", b"empty", b"even", b"new1", b"new2", b"new3", b"dir/new", b"nothing"),
    *(b"../secret", b"out", b"/etc/passwd", b"", b"."),
)
FILES: Final = {
    "f": b"x" * 1300,
    "empty": b"",
    "even": b"e" * 1024,
    "kernel": random.Random(3).randbytes(150_000),
}
SECRET: Final = b"no peer may see this"

_NO_RATES: Final = "[limits]\n" + "".join(
    f"{key} = 0\n"
    for key in (
        "requests_per_second",
        "requests_per_second_total",
        "errors_per_second",
        "errors_per_second_total",
    )
)
"""The server is to bear all of it, not to turn it away."""
_PING: Final = b"\0\1not-there\0octet\0"


class FailedError(Exception):
    """The server has failed; the message says how."""


@attrs.define
class Result:
    """What became of one server."""

    rung: str
    tid: str
    datagrams: int = 0
    served: int = 0
    """Transfers of clients that know the protocol."""
    heard: int = 0
    """Datagrams that fuzzed peers got."""
    seconds: float = 0.0
    dropped: int = 0
    """Datagrams that the kernel dropped."""
    descriptors: tuple[int, int] = (0, 0)
    """At the start and at the end."""
    rss: list[tuple[float, float]] = attrs.field(factory=list)
    failure: str = ""

    def growth(self) -> Growth:
        """Return the verdict on memory.  Raises ValueError if there was too little to judge."""
        return growth(self.rss, RSS_BOUND)


class Peer:
    """A socket that sends what it likes."""

    def __init__(self) -> None:
        self.socket = _bound(0)
        self.port = int(self.socket.getsockname()[1])
        self.tid: tuple[str, int] | None = None
        self.tids: set[tuple[str, int]] = set()
        self.heard = b""
        self.blksize = 512

    def take(self, octets: bytes, source: tuple[str, int]) -> None:
        """Note what has come."""
        if octets[:2] == b"\0\6":
            words = octets[2:].split(b"\0")
            if b"blksize" in words[:-1]:
                self.blksize = int(words[words.index(b"blksize") + 1])
        self.tid = source
        if len(self.tids) < 64:
            self.tids.add(source)
        self.heard = octets[:4]

    def following(self, shift: int) -> bytes:
        """Return what comes after what was heard, so many blocks from where it should be."""
        number = int.from_bytes(self.heard[2:4], "big") + shift & 0xFFFF
        if self.heard[:2] == b"\0\6":
            return b"\0\4\0\0" if not shift else b"\0\3\0\1" + b"u" * min(self.blksize, 1400)
        if self.heard[:2] == b"\0\4":
            size = self.blksize if shift & 3 else self.blksize // 2
            return b"\0\3" + (number + 1 & 0xFFFF).to_bytes(2, "big") + b"u" * min(size, 1400)
        return b"\0\4" + number.to_bytes(2, "big")

    def come_back(self) -> None:
        """Close the port, and open it again."""
        self.socket.close()
        try:
            self.socket = _bound(self.port)
        except OSError:  # somebody else was quicker
            self.socket = _bound(0)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((PEERS_HOST, port))
    sock.setblocking(False)
    return sock


class Load:
    """All that one server has to bear."""

    def __init__(self, server: Server, draws: random.Random, result: Result) -> None:
        self._server = server
        self._draws = draws
        self._result = result
        self._mutator = Mutator(corpus.datagrams(), draws, NAMES)
        self._requests = (*corpus.requests(1), *corpus.requests(2))
        self._peers = [Peer() for _ in range(PEERS)]
        self._pinger = _bound(0)
        self._clients: list[Transfer] = []
        self._client_names: dict[int, str] = {}
        self._arena = memoryview(bytearray(65536))
        self._looked = time.monotonic()

    def close(self) -> None:
        """Close the sockets."""
        for peer in self._peers:
            peer.socket.close()
        for client in self._clients:
            client.socket.close()
        self._pinger.close()

    def bear(self, count: int, told: Callable[[int], None]) -> None:
        """Send so many datagrams; sample memory.  Raises FailedError."""
        result, every = self._result, max(1, count // SAMPLES)
        next_sample = every
        self._touch_buffers()
        while result.datagrams < count:
            for _ in range(BURST):
                self._send_one()
            self._listen()
            self._ping()
            self._serve_clients()
            if result.datagrams >= next_sample:
                next_sample += every
                self._tidy()
                result.rss.append((result.datagrams, float(rss(self._server.process.pid))))
                told(result.datagrams)

    def _touch_buffers(self) -> None:
        """Have every place of the server's receive buffers be used once, in the warm-up."""
        for size in (65000, 20000, 65000):
            for peer in self._peers[:32]:
                self._put(peer.socket, b"\0\7" + bytes(size), self._server.address)
            self._ping()

    def _put(self, sock: socket.socket, octets: bytes, to: tuple[str, int]) -> None:
        with suppress(OSError):  # too long, or no room
            sock.sendto(octets, to)

    def _send_one(self) -> None:
        draws, peers = self._draws, self._peers
        peer = peers[draws.getrandbits(6)]
        which = draws.getrandbits(4)
        self._result.datagrams += 1
        if which < 3 or peer.tid is None:
            self._put(peer.socket, self._request(), self._server.address)
        elif which < 11:
            shift = 0 if draws.getrandbits(2) else draws.getrandbits(3) - 4
            self._put(peer.socket, peer.following(shift), peer.tid)
        elif which < 13:
            self._put(peer.socket, self._mutator.datagram(), peer.tid)
        elif which == 13:
            self._put(peer.socket, self._mutator.datagram(), self._server.address)
        elif which == 14:
            other = peers[draws.getrandbits(6)].tid or self._server.address
            self._put(peer.socket, self._mutator.numbered(), other)
        elif draws.getrandbits(3):
            self._put(peer.socket, b"\0\5\0\0bye\0", peer.tid)
            peer.tid = None
        else:
            peer.come_back()

    def _request(self) -> bytes:
        if self._draws.getrandbits(1):
            return _quick(self._mutator.request())
        octets = self._requests[int(self._draws.random() * len(self._requests))]
        name, _, rest = octets[2:].partition(b"\0")
        if self._draws.getrandbits(2):
            name = NAMES[self._draws.getrandbits(3)]
        return _quick(octets[:2] + name + b"\0" + rest)

    def _listen(self) -> None:
        """Take what has come for the peers."""
        for peer in self._peers:
            with suppress(OSError):
                while True:
                    octets, source = peer.socket.recvfrom(65536)
                    self._result.heard += 1
                    if SECRET in octets:
                        raise FailedError("the server gave away what lies outside of its root")
                    peer.take(octets, source)

    def _ping(self) -> None:
        """Wait until the server has heard what was sent before.  Raises FailedError."""
        end = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            if self._server.process.poll() is not None:
                raise FailedError(f"the server died:\n{self._server.log()[-3000:]}")
            self._put(self._pinger, _PING, self._server.address)
            self._pinger.settimeout(1.0)
            with suppress(TimeoutError):
                octets, _ = self._pinger.recvfrom(600)
                if octets[:4] != b"\0\5\0\1":
                    raise FailedError(f"a file that is not there was answered by {octets[:60]!r}")
                return
        raise FailedError(f"the server did not answer within {ANSWER_SECONDS:g} s")

    # Clients that know the protocol.

    def _serve_clients(self) -> None:
        for client in list(self._clients):
            self._advance(client)
            if client.result is not None:
                self._finished(client)
        while len(self._clients) < CLIENTS:
            self._clients.append(self._client())
        now = time.monotonic()
        if now - self._looked > 2:
            self._looked = now
            for client in self._clients:
                if now - client.heard > ANSWER_SECONDS:
                    raise FailedError(f"a client got nothing for {ANSWER_SECONDS:g} s")
                if now - client.heard > 2:
                    client.resend()

    def _client(self) -> Transfer:
        number = self._result.served + len(self._clients)
        reading = bool(number % 3)
        content = FILES[("kernel", "f", "even")[number % 3 if reading else 1]]
        name = ("kernel", "f", "even")[number % 3] if reading else f"client-{number}"
        transfer = Transfer(
            "get" if reading else "put",
            self._server.address,
            name,
            content,
            (512, 1428)[number % 2],
            Link(windowsize=8 if number % 2 and reading else 1, host=CLIENTS_HOST),
            number,
        )
        self._client_names[id(transfer)] = name
        return transfer

    def _advance(self, client: Transfer) -> None:
        """Let a client take what has come for it, and some of what that brings."""
        end = time.monotonic() + 0.01
        with selectors.DefaultSelector() as selector:
            selector.register(client.socket, selectors.EVENT_READ)
            while client.result is None and selector.select(0.0) and time.monotonic() < end:
                client.receive(self._arena)

    def _finished(self, client: Transfer) -> None:
        name = self._client_names.pop(id(client))
        self._clients.remove(client)
        client.socket.close()
        if not client.result:
            said = [line for line in self._server.log().split("\n") if CLIENTS_HOST in line]
            told = "\n".join(["what the server said of clients:", *said[-5:]])
            raise FailedError(f"the transfer of {name} by a client failed; {told}")
        if not client.reading:
            path = self._server.root / name
            if path.read_bytes() != FILES["f"]:
                raise FailedError("an upload was not stored as it was sent")
            path.unlink()
        self._result.served += 1

    def _tidy(self) -> None:
        """Remove what fuzzed peers have uploaded, so that they can do so again."""
        for path in self._server.root.rglob("*"):
            kept = path.name in FILES or path.name.startswith((".snowowl-", "client-"))
            if path.is_file() and not kept:
                with suppress(OSError):
                    path.unlink()

    # The end.

    def end(self) -> None:
        """End all transfers of the peers, and let the clients finish.  Raises FailedError."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._clients and time.monotonic() < deadline:
            for client in list(self._clients):
                self._advance(client)
                if client.result is not None:
                    self._finished(client)
        if self._clients:
            raise FailedError("a client was not served to the end")
        for peer in self._peers:
            for tid in (*peer.tids, self._server.address):
                self._put(peer.socket, b"\0\5\0\0bye\0", tid)
            self._ping()
        self._listen()


def _quick(request: bytes) -> bytes:
    """Take the timeout out of a WRQ: after it the server dallies, for up to half a minute."""
    if request[:2] == b"\0\2" and b"timeout" in request.lower():
        return request[: request.lower().index(b"timeout")]
    return request


def _drops(server: Server) -> int:
    """Return how many datagrams the kernel has dropped at the server's sockets."""
    inodes = set()
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
    count = 0
    for table in ("udp", "udp6"):
        for line in Path(f"/proc/{server.process.pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes:
                count += int(words[-1])
    return count


def soak(rung: str, tid: str, datagrams: int, seed: int, told: Callable[[int], None]) -> Result:
    """Run one server through its share."""
    result = Result(rung, tid)
    folder = Path(tempfile.mkdtemp(prefix="snowowl-soak-"))
    folder.chmod(0o755)
    begun = time.monotonic()
    try:
        root = _make_root(folder)
        config = (
            f'[server]\ntid = "{tid}"\n[log]\nlevel = "warning"\n[write]\nenabled = true\n'
            f'size_max = 100_000\n[performance.platform]\nrung = "{rung}"\n{_NO_RATES}'
        )
        with serving(root, config=config) as server:
            _bear(server, root, datagrams, random.Random(seed), result, told)
            if tid != "own":  # the sum over sockets that are gone is not known
                result.dropped = _drops(server)
            server.terminate()
            status = server.wait(60.0)
            _require(status == 0, f"it ended with status {status}:\n{server.log()[-3000:]}")
        whole = (folder / "secret").read_bytes() == SECRET and len(list(folder.iterdir())) == 2
        _require(whole, "something was written outside of the root")
    except (FailedError, AssertionError, OSError) as failure:
        result.failure = _excerpt(f"{type(failure).__name__}: {failure}")
    finally:
        shutil.rmtree(folder)
    result.seconds = time.monotonic() - begun
    return result


def _excerpt(text: str) -> str:
    """Return a text without most of what is between its beginning and the first bug in it."""
    if len(text) <= EXCERPT_MAX:
        return text
    at = max(text.find("internal error"), text.find("Traceback"), EXCERPT_MAX // 2)
    return f"{text[: EXCERPT_MAX // 4]}\n...\n{text[at - 200 : at + EXCERPT_MAX // 2]}"


def _require(condition: bool, message: str) -> None:
    """Raise FailedError with a message unless a condition holds."""
    if not condition:
        raise FailedError(message)


def _make_root(folder: Path) -> Path:
    root = folder / "root"
    (root / "dir").mkdir(parents=True)
    for name, octets in FILES.items():
        (root / name).write_bytes(octets)
    (folder / "secret").write_bytes(SECRET)
    (root / "out").symlink_to("../secret")
    return root


def _bear(
    server: Server,
    root: Path,
    datagrams: int,
    draws: random.Random,
    result: Result,
    told: Callable[[int], None],
) -> None:
    """Load a server, let it rest, and look at what is left.  Raises FailedError."""
    _be_served(server, "before")
    at_start = server.descriptors()
    load = Load(server, draws, result)
    try:
        load.bear(datagrams, told)
        load.end()
        most = at_start + DESCRIPTORS_BOUND[result.tid]
        eventually(lambda: server.descriptors() <= most, QUIET_SECONDS)
    finally:
        load.close()
    result.descriptors = (at_start, server.descriptors())
    _require(result.descriptors[1] <= most, f"descriptors are left: {result.descriptors}")
    _be_served(server, "after")
    left = [path.name for path in root.rglob(".snowowl-*")]
    _require(not left, f"temporary files are left: {left}")
    for name, octets in FILES.items():
        _require((root / name).read_bytes() == octets, f"{name} was overwritten")


def _be_served(server: Server, when: str) -> None:
    """Fetch and store as any client.  Raises FailedError."""
    for name, octets in FILES.items():
        got = fetch(server.address, name.encode(), ("blksize", 1428))
        _require(got == octets, f"{name} came with other octets")
    content = FILES["kernel"][:50_000]
    store(server.address, f"client-{when}".encode(), content)
    stored = (server.root / f"client-{when}").read_bytes()
    _require(stored == content, "an upload was not stored as it was sent")


def soak_all(
    ways: Sequence[Way], datagrams: int, seed: int, told: Callable[[int, str], None]
) -> Iterator[Result]:
    """Share the datagrams among a server for each way; yield what each did."""
    share = -(-datagrams // len(ways))
    for number, (rung, tid) in enumerate(ways):
        say = functools.partial(_say, told, share * number, f"{rung} {tid}  ")
        yield soak(rung, tid, share, seed + number, say)


def _say(told: Callable[[int, str], None], before: int, where: str, done: int) -> None:
    told(before + done, where)
