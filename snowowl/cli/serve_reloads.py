"""SIGHUP, which has a server take the configuration as it is now, however many processes serve.

What is wrong with it is told and changes nothing.  No SIGHUP ends the server, at no time; but for
the one that says that the terminal is gone which the server was started at.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio

from snowowl.cli.signals import Terminal
from snowowl.config import Config, ConfigError
from snowowl.observe.events import Event, ReloadFailed, ServerReloaded

SHUTTING_DOWN = ReloadFailed("the server is shutting down")

_ENDS = (ServerReloaded, ReloadFailed)
"""One of these tells what became of a reload."""

_SIGHUP = getattr(signal, "SIGHUP", None)  # Windows has none


class Reloads:
    """Reads the configuration anew when it is asked for, and hands it to the server by `taken`.

    `emit` is told what goes wrong here, once for each reload; `log`, what else is wrong with its
    configuration; `begins`, that one of ServerReloaded and ReloadFailed will be told; `warn` looks at
    what has taken effect.
    """

    def __init__(
        self,
        configure: Callable[[], Config],
        emit: Callable[[Event], None],
        *,
        log: Callable[[Event], None],
        warn: Callable[[Config], None],
        begins: Callable[[], None] = lambda: None,
    ) -> None:
        self._configure = configure
        self._emit = emit
        self._log = log
        self._warn = warn
        self._begins = begins
        self._terminal = Terminal.find()
        self._told = trio.Event()
        self._succeeded = False
        self.read: Config | None = None
        """What was read last, and what a ServerReloaded that comes now is about."""
        # Without a buffer: what is read waits for nobody, a second SIGHUP reads anew.
        self._send, self.taken = trio.open_memory_channel[Config](0)
        if _SIGHUP is not None:
            # Before there is a receiver, and after: Trio raises again what nobody has taken.
            signal.signal(_SIGHUP, signal.SIG_IGN)

    def observe(self, event: Event) -> None:
        """Note what has become of a reload."""
        if isinstance(event, _ENDS):
            self._succeeded = isinstance(event, ServerReloaded)
            self._told.set()

    async def watch(self, drain: trio.Event) -> None:
        """Reload at each SIGHUP, until cancelled; set `drain` if the terminal has gone."""
        if _SIGHUP is None:
            return
        with trio.open_signal_receiver(_SIGHUP) as signals:
            async for _ in signals:
                if self._terminal is not None and self._terminal.is_gone():
                    drain.set()
                    continue
                self._begins()
                if drain.is_set():
                    self._emit(SHUTTING_DOWN)
                else:
                    await self._reload(drain)

    async def _reload(self, drain: trio.Event) -> None:
        """Read, hand over, and wait until it has taken effect or will not."""
        try:
            # Left to itself if it hangs: it only reads.
            config = await trio.to_thread.run_sync(self._configure, abandon_on_cancel=True)
        except ConfigError as error:
            tell = self._emit
            for problem in error.problems:
                tell(ReloadFailed(f"{problem}"))
                tell = self._log
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the server serves
            self._emit(ReloadFailed(f"the configuration cannot be read: {error!r}"))
            return
        self.read = config
        self._told, self._succeeded = trio.Event(), False
        try:
            await self._send.send(config)
        except trio.BrokenResourceError:
            self._emit(SHUTTING_DOWN)
            return
        await self._wait_told(drain)
        if self._succeeded:
            self._warn(config)

    async def _wait_told(self, drain: trio.Event) -> None:
        """Wait for what becomes of a reload: it is not told any more once the server is to end."""

        async def give_up() -> None:
            await drain.wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up)
            await self._told.wait()
            nursery.cancel_scope.cancel()
