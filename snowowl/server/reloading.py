"""How a running server takes another configuration, and which keys it cannot change.

A reload replaces the generation (`snowowl.server.generation`): what transfers keep to their end.  It
is handed to the `takers`: what has no past to keep to, such as limits.  And it leaves some keys as
they were: they are told, and all else takes effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs
import trio

from snowowl.config import Config
from snowowl.config.difference import difference, differing, keeping
from snowowl.datagram.interface import Network
from snowowl.observe.events import ReloadFailed, ServerReloaded
from snowowl.observe.observers import Observers
from snowowl.server.errors import RootError
from snowowl.server.generation import Generations, open_generation

Taker = Callable[[Config], None]
"""Takes a new configuration at once: may not block, and must not raise."""

Unchangeable = Callable[[Config], Iterable[str]]
"""Names the keys of a new configuration that cannot take effect here, by their dotted paths.

Called in a thread: it may look at folders, and one may be on a network whose server is gone.
"""

Reloads = trio.MemoryReceiveChannel[Config]

FIXED_FOR_ALL: Final = (
    "server.listen",  # whose sockets may need a right that was given up, and hold requests
    "server.workers",
    "server.user",  # given up for good
    "server.group",
    "audit.file",  # where a confined process can write; the file itself is opened anew
    "metrics.listen",
)
"""Keys that no reload changes."""

FIXED_IN_PLACE: Final = (
    *FIXED_FOR_ALL,
    "server.landlock",  # what the kernel was told cannot be taken back
    "performance.platform.",  # the sockets are open, and the way to the kernel was probed for
    "performance.sockets.",
)
"""Keys that a process cannot change for itself, but new workers can; with a point at the end, all
keys beneath."""

AS_IT_WAS: Final = "the server goes on as it was"


class ConflictError(Exception):
    """A new configuration, with the keys that must stay, has values that cannot stand together."""


@attrs.frozen
class Change:
    """What becomes of a new configuration: the one to take, and what is told of it."""

    config: Config
    kept: tuple[str, ...]
    changed: tuple[str, ...]


def change_to(
    new: Config, old: Config, fixed: Iterable[str], unchangeable: Unchangeable | None = None
) -> Change:
    """Return what a running server makes of a new configuration.  Raises ConflictError."""
    kept = tuple(_kept(new, old, tuple(fixed), unchangeable))
    config = keeping(new, old, kept)
    for conflict in config.conflicts():
        raise ConflictError(f"{conflict.keys[0]}: {conflict.message}")
    return Change(config, kept, difference(config, old))


def _kept(
    new: Config, old: Config, fixed: tuple[str, ...], unchangeable: Unchangeable | None
) -> Iterator[str]:
    """Yield the keys that differ and must not, in the order of the model."""
    also = set() if unchangeable is None else set(unchangeable(new))
    keys = tuple(differing(new, old))
    for key in also.difference(keys):
        raise ConflictError(
            f"{key}: what lies there is not what did when the server was started, which is all that"
            " this process may use; restart the server"
        )
    for key in keys:
        if key in also or any(
            key == one or (one[-1] == "." and key.startswith(one)) for one in fixed
        ):
            yield key
        elif key == "server.tid" and "listen" in (new.server.tid, old.server.tid):
            yield key  # transfers would have to move between sockets


class Reloading:
    """Has one process take new configurations."""

    def __init__(
        self,
        config: Config,
        generations: Generations,
        network: Network,
        observers: Observers,
        unchangeable: Unchangeable | None = None,
    ) -> None:
        self.config = config
        """What is in effect."""
        self.takers: list[Taker] = []
        self._generations = generations
        self._network = network
        self._observers = observers
        self._unchangeable = unchangeable

    async def run(self, reloads: Reloads) -> None:
        """Take what comes, one after another; cancelled, close the channel: nobody takes more."""
        with reloads:
            async for config in reloads:
                await self.take(config)

    async def take(self, new: Config) -> None:
        """Take a new configuration, or leave all as it is; say which.

        Exactly one of ServerReloaded and ReloadFailed is told.
        """
        try:
            change = await self._change_to(new)
            generation = await open_generation(change.config, self._network)
        except (ConflictError, RootError) as error:
            self._observers.emit(ReloadFailed(f"{error}; {AS_IT_WAS}"))
            return
        except Exception as error:  # noqa: BLE001 - no thread, no memory, a bug: it serves all the same
            self._observers.emit(ReloadFailed(f"{error!r}; {AS_IT_WAS}"))
            return
        # From here on nothing is awaited and nothing fails: it is one configuration or the other.
        self.config = change.config
        self._generations.replace(generation)
        for taker in self.takers:
            taker(change.config)
        root = str(change.config.server.root)
        self._observers.emit(ServerReloaded(root, change.kept, change.changed))

    async def _change_to(self, new: Config) -> Change:
        """Return what becomes of a new configuration.  Raises ConflictError."""
        if self._unchangeable is None:
            return change_to(new, self.config, FIXED_IN_PLACE)
        return await trio.to_thread.run_sync(
            change_to,
            new,
            self.config,
            FIXED_IN_PLACE,
            self._unchangeable,
            abandon_on_cancel=True,  # it only looks
        )
