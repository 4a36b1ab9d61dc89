"""A fault server for tests: with `async with` under Trio, with `with` from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType

import attrs
import trio

from snowowl.config.listen import parse_listen
from snowowl.datagram.interface import Network
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from snowowl.testing.faults.asked import QUIET_SECONDS, Setting
from snowowl.testing.faults.catalog import Spec, every_fault, parse_fault
from snowowl.testing.faults.content import Files, Folder, MemoryFiles
from snowowl.testing.faults.plan import Plan
from snowowl.testing.faults.server import FaultServer
from snowowl.testing.faults.verdict import Judged

FilesToServe = Mapping[str, bytes] | Path
"""Files by name, or a folder."""
FaultsToPlay = str | Spec | Sequence[str | Spec] | None


@attrs.frozen
class FaultyServer:
    """A fault server that runs.  All of it may be used until the `with` block ends."""

    address: str
    """Where it listens, like ``127.0.0.1:40001``."""
    host: str
    port: int
    _server: FaultServer
    _files: Files

    def url(self, filename: str, fault: str = "") -> str:
        """Return the URL of a file; with a fault, of that file with that fault."""
        return f"tftp://{self.address}/{f'{fault}/' if fault else ''}{filename}"

    @property
    def transfers(self) -> Sequence[Judged]:
        """Return the transfers that are over, judged."""
        return tuple(self._server.transfers)

    @property
    def uploads(self) -> Mapping[str, bytes]:
        """Return what was uploaded, where files are in memory."""
        return dict(self._files.uploads) if isinstance(self._files, MemoryFiles) else {}

    async def settled(self) -> Sequence[Judged]:
        """Wait until every transfer is over by itself; return them.  It may take `quiet_seconds`."""
        await self._server.wait_settled()
        return self.transfers

    async def settle(self) -> Sequence[Judged]:
        """Judge every transfer as it stands, as the client is known to be done; return them."""
        self._server.settle()
        return await self.settled()


@asynccontextmanager
async def faulty_server(
    files: FilesToServe,
    fault: FaultsToPlay = None,
    *,
    seed: int = 0,
    listen: str = "127.0.0.1:0",
    network: Network | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> AsyncIterator[FaultyServer]:
    """Run a fault server in the block; at its end, every transfer is judged as it stands.

    `fault` is ``NAME[:key=value,...]``, played in every transfer that allows it; of several, each
    transfer gets the next, over and over.  None: all there are.  A file's name that begins with a
    fault (``lost-data:block=2/vmlinuz``) goes before.  Uploads are taken: in memory, or into the
    folder.

    Raises FaultError (a ValueError) for a fault that is none, ValueError for `listen`, OSError if
    there is no such folder or address.
    """
    specs = _specs(fault)
    where = parse_listen(listen)
    store: Files = Folder(files, writable=True) if isinstance(files, Path) else MemoryFiles(files)
    opened = SystemNetwork(Settings(rung="portable")) if network is None else None
    try:
        setting = Setting(network or opened or SystemNetwork(), store, quiet_seconds)
        server = FaultServer(setting, Plan(specs, repeats=True), seed)
        async with trio.open_nursery() as nursery:
            (bound,) = await nursery.start(server.run, [where])
            host, _, port = bound.rpartition(":")
            running = FaultyServer(bound, host.strip("[]"), int(port), server, store)
            yield running
            await running.settle()
            nursery.cancel_scope.cancel()
    finally:
        if opened is not None:
            opened.close()
        store.close()


class FaultyServerThread:
    """A fault server in a thread of its own, for tests that do not run under Trio."""

    def __init__(self, server: FaultyServer, token: trio.lowlevel.TrioToken) -> None:
        self._server = server
        self._token = token
        self.address = server.address
        """Where it listens, like ``127.0.0.1:40001``."""
        self.host = server.host
        self.port = server.port
        self.url = server.url

    @property
    def transfers(self) -> Sequence[Judged]:
        """Return the transfers that are over, judged."""
        return self._server.transfers

    @property
    def uploads(self) -> Mapping[str, bytes]:
        """Return what was uploaded, where files are in memory."""
        return self._server.uploads

    def settled(self) -> Sequence[Judged]:
        """Wait until every transfer is over by itself; return them."""
        return trio.from_thread.run(self._server.settled, trio_token=self._token)

    def settle(self) -> Sequence[Judged]:
        """Judge every transfer as it stands, as the client is known to be done; return them."""
        return trio.from_thread.run(self._server.settle, trio_token=self._token)


@contextmanager
def faulty_server_thread(
    files: FilesToServe,
    fault: FaultsToPlay = None,
    *,
    seed: int = 0,
    listen: str = "127.0.0.1:0",
    quiet_seconds: float = QUIET_SECONDS,
) -> Iterator[FaultyServerThread]:
    """Run a fault server in a thread of its own; as `faulty_server` in all else."""
    runner = _Runner(files, fault, seed, listen, quiet_seconds)
    with runner:
        yield runner.started()


class _Runner:
    """The thread, which is waited for whatever happens."""

    def __init__(
        self, files: FilesToServe, fault: FaultsToPlay, seed: int, listen: str, quiet: float
    ) -> None:
        self._arguments = (files, fault, seed, listen, quiet)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._running: FaultyServerThread | None = None
        self._over: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=self._main, name="snowowl-faults")

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None and self._over is not None:
            with suppress(trio.RunFinishedError):  # it failed; said below
                self._token.run_sync_soon(self._over.set)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def started(self) -> FaultyServerThread:
        """Return the server.  Raises why it could not start."""
        if self._running is None:
            error, self._error = self._error, None
            raise error or RuntimeError("the fault server did not start")
        return self._running

    def _main(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for us
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        files, fault, seed, listen, quiet = self._arguments
        over = self._over = trio.Event()
        async with faulty_server(
            files, fault, seed=seed, listen=listen, quiet_seconds=quiet
        ) as server:
            self._token = trio.lowlevel.current_trio_token()
            self._running = FaultyServerThread(server, self._token)
            self._ready.set()
            await over.wait()


def _specs(fault: FaultsToPlay) -> Iterable[Spec]:
    if fault is None:
        return tuple(every_fault())
    several = [fault] if isinstance(fault, str | Spec) else fault
    return tuple(parse_fault(one) if isinstance(one, str) else one for one in several)
