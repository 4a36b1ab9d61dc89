"""What makes a run of Trio one that can be repeated: no threads, and a scheduler that is seeded.

Trio shuffles the tasks that can run, on purpose, and takes them from sets.  There is no public way
to have it otherwise: what is used here is what its own plugin for Hypothesis uses.  Nothing here
knows of networks or of snowowl.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Final, Protocol, TypeVar, TypeVarTuple, Unpack

import trio
import trio._core._run as trio_run  # the scheduler's switches: see above

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"

Pause = Callable[[], float]
"""Returns how many seconds of Trio's clock the next trip to a thread takes."""


class RunSync(Protocol):
    """`trio.to_thread.run_sync`."""

    def __call__(
        self,
        function: Callable[[Unpack[_Arguments]], _Result],
        /,
        *arguments: *_Arguments,
        thread_name: str | None = None,
        abandon_on_cancel: bool = False,
        limiter: trio.CapacityLimiter | None = None,
    ) -> Awaitable[_Result]:
        """Run a function in a thread."""


def at_once() -> float:
    """Return a pause of no time."""
    return 0.0


def inline(pause: Pause = at_once) -> RunSync:
    """Return what does as `trio.to_thread.run_sync`, without a thread: a clock that jumps waits for none.

    The pause comes before the function is called; it is not cut short by cancellation unless
    `abandon_on_cancel` is true, and counts against the limiter.
    """

    async def run_sync(
        function: Callable[[Unpack[_Arguments]], _Result],
        /,
        *arguments: *_Arguments,
        thread_name: str | None = None,
        abandon_on_cancel: bool = False,
        limiter: trio.CapacityLimiter | None = None,
    ) -> _Result:
        del thread_name
        await trio.lowlevel.checkpoint()
        seconds = pause()
        if not seconds:
            return function(*arguments)
        if limiter is None:
            limiter = trio.CapacityLimiter(1)
        async with limiter:
            with trio.CancelScope(shield=not abandon_on_cancel):
                await trio.sleep(seconds)
            return function(*arguments)

    return run_sync


@contextmanager
def threads_inline(pause: Pause = at_once) -> Iterator[None]:
    """Have `trio.to_thread.run_sync` do without threads meanwhile, whoever has imported it as what."""
    original = trio.to_thread.run_sync
    replacement = inline(pause)
    holders = _holders(original, len(sys.modules))
    for module, name in holders:
        setattr(module, name, replacement)
    try:
        yield
    finally:
        for module, name in holders:
            setattr(module, name, original)


@lru_cache(maxsize=4)
def _holders(function: object, modules: int) -> tuple[tuple[ModuleType, str], ...]:
    """Return where a function is a global of a module; looked for anew when there are other modules."""
    del modules
    return tuple(
        (module, name)
        for module in list(sys.modules.values())
        for name, value in list(vars(module).items())
        if value is function
    )


@contextmanager
def scheduler_seeded(seed: int) -> Iterator[None]:
    """Have Trio order its tasks as the seed says meanwhile, and as nothing else does."""
    switch = getattr(trio_run, _SWITCH)
    draws = trio_run._r  # noqa: SLF001 - see above
    state = draws.getstate()
    setattr(trio_run, _SWITCH, True)
    draws.seed(seed)
    try:
        yield
    finally:
        setattr(trio_run, _SWITCH, switch)
        draws.setstate(state)
