"""What a supervisor of services is told: ready, reloading, stopping, and that the event loop runs."""

from __future__ import annotations

import os
import time
from typing import Final

import trio

from snowowl.host.notify import Notifier, watchdog_seconds
from snowowl.observe.events import (
    Event,
    ReloadFailed,
    ServerDraining,
    ServerReloaded,
    ServerStarted,
    ServerStopped,
)
from snowowl.observe.words import printable

LEAVE_SECONDS: Final = 15
"""For all that comes after the transfers had their time: the last ERRORs, and workers that hang."""

WATCHDOG_SECONDS_MIN: Final = 0.1
"""Between two signs of life, whatever is asked for."""

RETRY_SECONDS: Final = 1.0
"""Until systemd is told what it had no room for."""


class Systemd:
    """An observer that tells systemd; nothing, if it was not systemd that started us."""

    def __init__(self, notifier: Notifier, watchdog: float | None) -> None:
        self._notifier = notifier
        self._watchdog = watchdog
        self._serving = ""

    @classmethod
    def take(cls) -> Systemd:
        """Make one of what the environment says, and take it out of there: it is for nobody else."""
        return cls(Notifier.take(os.environ), watchdog_seconds(os.environ))

    def __call__(self, event: Event) -> None:
        """Tell what matters to who may start and stop us."""
        match event:
            case ServerStarted(addresses, root):
                self._serving = printable(f"serving {root} on {', '.join(addresses)}")
                self._notifier.tell(READY=1, STATUS=self._serving, MAINPID=os.getpid())
            case ServerReloaded(root):
                where = self._serving.rpartition(" on ")[2]
                self._serving = printable(f"serving {root} on {where}")
                self._notifier.tell(READY=1, STATUS=self._serving)
            case ReloadFailed(reason):
                status = f"{self._serving}; not reloaded: {printable(reason)}"
                self._notifier.tell(READY=1, STATUS=status)
            case ServerDraining(active, seconds):
                self._notifier.tell(
                    STOPPING=1,
                    STATUS=f"draining: {active} transfers may end",
                    EXTEND_TIMEOUT_USEC=round((seconds + LEAVE_SECONDS) * 1e6),
                )
            case ServerStopped():
                self._notifier.tell(STOPPING=1, STATUS="stopped")
            case _:
                pass

    def reloading(self) -> None:
        """Tell that the configuration is being read; `ServerReloaded` or `ReloadFailed` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notifier.tell(RELOADING=1, MONOTONIC_USEC=now)

    async def run(self) -> None:
        """Tell twice in its interval that we are alive, as sd_watchdog_enabled(3) advises."""
        if not self._notifier.is_heard:
            return
        if self._watchdog is None:
            while True:
                await trio.sleep(RETRY_SECONDS)
                self._notifier.flush()
        while True:
            self._notifier.tell(WATCHDOG=1)
            await trio.sleep(max(self._watchdog / 2, WATCHDOG_SECONDS_MIN))

    def close(self) -> None:
        """Hang up."""
        self._notifier.close()
