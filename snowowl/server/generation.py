"""What requests are served by from one configuration to the next: a store and policies.

A transfer takes hold of the generation that is current when it begins, and keeps it to its end: its
file, what it was granted and where an upload goes are never those of two configurations.  What has
no use for the past (limits, ports) takes the new configuration at once: see
`snowowl.server.reloading`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from snowowl.config import Config
from snowowl.config.write import check_mode
from snowowl.content.allowance import Allowance, Limits
from snowowl.content.mapped import FileHints
from snowowl.content.names import NameRules
from snowowl.content.naming import Template
from snowowl.content.store import Store
from snowowl.content.uploads import WritePolicy
from snowowl.datagram.interface import Network
from snowowl.server.errors import RootError
from snowowl.server.policies import Policies


class Generation:
    """What one configuration made; owns its store."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self.store = store
        self.policies = policies
        self._users = 0
        self._retired: Callable[[Generation], None] | None = None

    def hold(self) -> None:
        """Keep it open until `let_go`: a transfer begins."""
        self._users += 1

    def let_go(self) -> None:
        """End what `hold` began; the last one closes what is not current any more."""
        self._users -= 1
        if self._retired is not None and not self._users:
            self._retired(self)

    @contextmanager
    def held(self) -> Iterator[Generation]:
        """Keep it open meanwhile."""
        self.hold()
        try:
            yield self
        finally:
            self.let_go()

    def retire(self, done: Callable[[Generation], None]) -> None:
        """Begin nothing more; call `done` once nobody holds it, which may be now."""
        self._retired = done
        self.store.retire()
        if not self._users:
            done(self)


class Generations:
    """The current generation, and those before it that a transfer still holds."""

    def __init__(self, first: Generation) -> None:
        self.current = first
        self._open: dict[Generation, None] = {first: None}
        self._replaced = trio.Event()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def replace(self, generation: Generation) -> None:
        """Let all that begins from now on be served by another one."""
        before, self.current = self.current, generation
        self._open[generation] = None
        generation.store.succeed(before.store)
        before.retire(self._close)
        replaced, self._replaced = self._replaced, trio.Event()
        replaced.set()

    async def keep_count(self) -> None:
        """Have what a quota is of counted now and then, for the current one.  Until cancelled."""
        while True:
            replaced = self._replaced
            async with trio.open_nursery() as counting:
                counting.start_soon(self.current.store.keep_count)
                await replaced.wait()
                counting.cancel_scope.cancel()

    def close(self) -> None:
        """Close them all: every transfer has ended.  Idempotent."""
        for generation in list(self._open):
            self._close(generation)

    def _close(self, generation: Generation) -> None:
        del self._open[generation]
        generation.store.close()


async def open_generation(config: Config, network: Network) -> Generation:
    """Make what a configuration asks for.  Raises RootError.

    The root is opened in a thread: it may be on a network whose server is gone.  Cancelled, it waits
    for nobody.
    """
    opening = _Opening(config)
    try:
        store = await trio.to_thread.run_sync(opening.open, abandon_on_cancel=True)
    except trio.Cancelled:
        opening.abandon()
        raise
    return Generation(store, Policies(config, network, trio.current_time))


class _Opening:
    """Opens a store in a thread, unless nobody wants it any more."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._abandoned = False

    def open(self) -> Store:
        """Return the store.  BLOCKS.  Raises RootError."""
        try:
            store = _open_store(self._config)
        except OSError as error:
            raise RootError(self._config.server.root, error) from error
        with self._lock:
            self._store = store
            if self._abandoned:
                store.close()
        return store

    def abandon(self) -> None:
        """Close the store, now or as soon as there is one."""
        with self._lock:
            self._abandoned = True
            if self._store is not None:
                self._store.close()


def _open_store(config: Config) -> Store:
    """Open what is served.  BLOCKS.  Raises OSError."""
    names, write = config.names, config.write
    rules = NameRules(
        strip_trailing=names.strip_trailing, backslash=names.backslash, hidden=names.hidden
    )
    policy = WritePolicy(
        enabled=write.enabled,
        overwrite=write.overwrite,
        create=write.create,
        patterns=write.patterns,
        size_max=write.size_max,
        mode=check_mode(write.mode),
        unique=write.unique,
        unique_name=Template(write.unique_name),
    )
    workers = config.server.workers
    limits = Limits(
        uploads_max=config.limits.uploads_max,
        open_files_max=config.limits.open_files_max,
        quota=write.quota if write.enabled else 0,
        free_min=write.free_min,
        shares=1 if workers == "auto" else workers,  # a worker is told how many there are
    )
    files = config.performance.files
    hints = FileHints(read_ahead=files.read_ahead_kb * 1024, access=files.access_hint)
    allowance = Allowance(limits)
    return Store(config.server.root, rules=rules, policy=policy, hints=hints, allowance=allowance)
