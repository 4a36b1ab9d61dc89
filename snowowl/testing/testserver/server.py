"""A server for tests: in a thread of its own, with files of its own, and records of what happened.

The thread runs Trio; whoever uses the server needs no event loop, or may have one of any kind.  It
is joined when the block ends, whatever happens in it; a server that ended by itself, or met a bug of
its own, fails the block with its cause.  No pytest here: `snowowl.testing.plugin` has the fixtures.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypedDict, Unpack
from urllib.parse import quote

import attrs
import trio

from snowowl.config import Config, LimitsConfig, WriteConfig, override
from snowowl.content.names import NameRules
from snowowl.datagram.interface import Network
from snowowl.server.datapath import system_network
from snowowl.server.serve import serve
from snowowl.testing.testserver.files import Files, ServedFiles
from snowowl.testing.testserver.lossy import LossyNetwork
from snowowl.testing.testserver.records import Records, ServerFailedError
from snowowl.testing.testserver.waits import TrioWaits, Waits

Tid = Literal["shared", "own", "listen"]

LOOPBACK: Final = "127.0.0.1:0"
NO_RATES: Final = LimitsConfig(
    requests_per_second=0,
    requests_per_second_total=0,
    errors_per_second=0,
    errors_per_second_total=0,
)
"""A test may ask thousands of times and never answer; nothing that it sends may depend on the time."""
JOIN_SECONDS: Final = 30.0
"""For the thread to end: what it may wait for is a disk."""

_WILDCARDS: Final = ("::", "0.0.0.0")  # noqa: S104 - for clients they are replaced
_SERVERS: Final[weakref.WeakSet[Server]] = weakref.WeakSet()


class Server(Waits):
    """A TFTP server that a test runs.  Made by `serving`; a context manager, with and without async.

    It is started once: by entering it, or by `start`.
    """

    def __init__(self, config: Config, files: Files, root: Path | None, network: _Loss) -> None:
        rules = NameRules(
            strip_trailing=config.names.strip_trailing, backslash=config.names.backslash
        )
        super().__init__(Records(rules), ServedFiles())
        self.addresses: tuple[str, ...] = ()
        """Where it listens, as ``127.0.0.1:40123``."""
        self.trio = TrioWaits(self)
        """The waits for Trio programs: ``await server.trio.wait_for("uImage")``."""
        self.ended_at = math.inf
        """When it ended, by `time.monotonic`."""
        self._config = config
        self._given: Files = files
        self._root = root
        self._temporary: Path | None = None
        self._network = network
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=self._run, name="snowowl server", daemon=True)
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._used = False

    # Life.

    def start(self) -> Self:
        """Listen.  Blocks for some milliseconds.

        Raises ListenError or RootError, which say what to do; TypeError, ValueError or OSError for
        files that are none; RuntimeError if it was started before.
        """
        if self._used:
            raise RuntimeError("a server is started once: make another one by serving(...)")
        self._used = True
        if self._root is None:
            self._temporary = self._root = Path(tempfile.mkdtemp(prefix="snowowl-test-"))
        self.files.root = self._root
        server = attrs.evolve(self._config.server, root=self._root)
        self._config = attrs.evolve(self._config, server=server)
        with ExitStack() as stack:
            stack.callback(self.close)
            self.files.take(self._given)
            self._thread.start()
            self._up.wait()
            if self._failure is not None:
                raise self._failure
            stack.pop_all()
        _SERVERS.add(self)
        return self

    def close(self) -> None:
        """Stop: the clients of running transfers are told by ERROR 0.  Idempotent.

        Raises RuntimeError if the thread does not end, and nothing else.
        """
        if self._token is None:
            self._scope.cancel()
        else:
            with suppress(trio.RunFinishedError):  # it has ended by itself
                self._token.run_sync_soon(self._scope.cancel)
        if self._thread.ident is not None:
            self._thread.join(JOIN_SECONDS)
            if self._thread.is_alive():
                raise RuntimeError(f"the server's thread does not end in {JOIN_SECONDS:g} s")
        self.ended_at = min(self.ended_at, time.monotonic())
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def check(self) -> None:
        """Raise ServerFailedError if the server has ended by itself or met a bug of its own."""
        self.records.check()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        try:
            self.check()
        except ServerFailedError as failure:
            if error is None:
                raise
            if not isinstance(error, ServerFailedError):
                error.add_note(f"snowowl: {failure}")

    async def __aenter__(self) -> Self:
        return await trio.to_thread.run_sync(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self.__exit__, kind, error, trace)

    # Where it is.

    @property
    def address(self) -> str:
        """Where it listens, the first place if there are several: ``127.0.0.1:40123``."""
        if not self.addresses:
            raise RuntimeError("the server has not been started")
        return self.addresses[0]

    @property
    def host(self) -> str:
        """The address for clients; one of loopback if it listens everywhere."""
        host = self.address.rpartition(":")[0].strip("[]")
        if host in _WILDCARDS:
            return "::1" if self._config.server.listen[0].startswith("[") else "127.0.0.1"
        return host

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.address.rpartition(":")[2])

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.files.root

    def url(self, name: str = "") -> str:
        """Return the URL of a file (RFC 3617), whether it is there or not."""
        host = quote(self.host, safe=":")  # fe80::1%eth0
        host = f"[{host}]" if ":" in host else host
        return f"tftp://{host}:{self.port}/{quote(os.fsencode(name))}"

    def __repr__(self) -> str:
        where = ", ".join(self.addresses) or "not started"
        return f"<Server {where}, {len(self.transfers)} requests>"

    # The thread.

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - told to the thread that uses the server
            self._failure = error
            self.records.fail(error)
        finally:
            self.ended_at = time.monotonic()
            self._up.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with closing(system_network(self._config)) as system, self._scope:
            await serve(
                self._config,
                observers=[self.records],
                network=self._network.wrap(system),
                task_status=_Started(self),
            )
        if not self._scope.cancel_called:
            raise RuntimeError("the server has ended, and nobody had told it to")


@attrs.frozen
class _Started:
    """Takes the addresses when requests can come in."""

    server: Server

    def started(self, value: Sequence[str] = ()) -> None:
        self.server.addresses = tuple(value)
        self.server._up.set()  # noqa: SLF001 - a part of it


@attrs.frozen
class _Loss:
    """What is done to the network."""

    loss: float
    seed: int

    def wrap(self, network: Network) -> Network:
        if not self.loss:
            return network
        draws = random.Random(self.seed)  # noqa: S311 - a simulation
        return LossyNetwork(network, self.loss, draws)


def serving(
    files: Files | None = None,
    *,
    root: os.PathLike[str] | None = None,
    listen: str | Sequence[str] = LOOPBACK,
    tid: Tid | None = None,
    writable: bool = False,
    loss: float = 0.0,
    seed: int = 0,
    config: Config | None = None,
) -> Server:
    """Return a server for these files, which runs from entering it to leaving it.

        with serving({"uImage": Path("build/uImage"), "boot.scr": b"..."}) as server:
            board.power_on(server.host, server.port)
            server.wait_for("uImage", timeout=60)

    `files`: names and contents, or the path of a folder; copied to a temporary folder, unless `root`
    names one, which is served as it is, and written to.  `listen`: one or several addresses as in
    the configuration, such as ``"192.0.2.1:69"``; an ephemeral port of loopback if nothing is said.
    `tid`: where answers come from (`Config.server.tid`).  `writable`: clients may upload, and replace
    what is there, into folders that are there: ``(server.root / "logs").mkdir()``.  `loss`: the probability that a DATA or ACK is lost, each way, drawn by `seed`.
    `config`: all else; its root and its addresses are not used.  Without it, requests and ERRORs
    have no limits in time (`[limits]`).

    Raises ConfigError for settings that cannot be, with every problem; ValueError for a loss that is
    no probability.
    """
    if not 0.0 <= loss < 1.0:
        raise ValueError(f"loss must be from 0 to less than 1, not {loss}")
    config = config or Config(limits=NO_RATES)
    server = attrs.evolve(
        config.server,
        listen=(listen,) if isinstance(listen, str) else tuple(listen),
        tid=tid or config.server.tid,
        workers=1,
    )
    write = WriteConfig(enabled=True, overwrite=True) if writable else config.write
    return Server(
        override(attrs.evolve(config, server=server, write=write), ()),
        {} if files is None else files,
        None if root is None else Path(root).absolute(),
        _Loss(loss, seed),
    )


class Settings(TypedDict, total=False):
    """The settings of `serving`, by their names."""

    root: os.PathLike[str] | None
    listen: str | Sequence[str]
    tid: Tid | None
    writable: bool
    loss: float
    seed: int
    config: Config | None


@attrs.frozen
class ServerFactory:
    """Makes servers, started, that end with a stack."""

    stack: ExitStack

    def __call__(self, files: Files | None = None, **settings: Unpack[Settings]) -> Server:
        """Return a server that runs: as `serving` with these arguments, entered."""
        return self.stack.enter_context(serving(files, **settings))


def told_since(began: float) -> Iterator[tuple[str, str]]:
    """Yield a title and a log for each server that has run since a time of `time.monotonic`."""
    for server in sorted(_SERVERS, key=lambda server: server.addresses):
        if server.ended_at >= began:
            log = server.records.log(since=began)
            yield f"snowowl server {server.address}", log or "nothing happened"
