"""How a known bug is planted: a few attributes of the real code, replaced for as long as a block lasts.

    with planted("sorcerers-apprentice"):
        ...

What a bug replaces must be there, so that a bug whose place was renamed is an error, not a find.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol
from unittest import mock

import attrs
import trio

from snowowl.client.errors import ClientError


class Patch(Protocol):
    """Replaces an attribute until the block ends."""

    def __call__(self, owner: object, name: str, value: object) -> None: ...


def everywhere(patch: Patch, real: object, changed: object) -> None:
    """Replace a function in every module that has imported it by its name, those of tests too."""
    function = str(getattr(real, "__name__"))  # noqa: B009 - an `object` has none for mypy
    holders = [
        module
        for name, module in sys.modules.items()
        if name.split(".")[0] in ("snowowl", "tests")
        and vars(module).get(function) is real
        and not name.startswith("tests.quality.")
    ]
    assert holders, f"nobody has {function}"
    for module in holders:
        patch(module, function, changed)


Planter = Callable[[Patch], None]


@attrs.frozen
class Planted:
    """A bug that somebody has had, or could have."""

    name: str
    what: str
    """What it is, in one sentence."""
    breaks: str
    """The clause, or the rule of this project, that it breaks."""
    found_by: str
    """The check (`tests.quality.checks`) that must find it."""
    usually: int
    """Examples within which that check usually finds it."""
    raises: tuple[type[BaseException], ...]
    """How it shows: an assertion of the suite, but for bugs that raise by themselves."""
    plant: Planter = attrs.field(repr=False)
    slow: bool
    """It takes seconds to find, and is looked for by the nox session `slow` only."""

    @property
    def within(self) -> int:
        """Return the number of examples within which the check must find it."""
        return self.usually * SPARE


SPARE: Final = 8
"""What Hypothesis draws depends on its version, and on the constants of all modules that are imported: it
repeats itself in one run of the suite, not in the next one.  With so many times the usual number of
examples it is found by luck's worst day, too; who finds it sooner, stops sooner."""


FAILURES: Final = (AssertionError, ClientError, trio.TooSlowError)
"""How the suite says that something is wrong: an honest client that fails, or waits for ever, too."""

PLANTED: Final[dict[str, Planted]] = {}


def bug(
    breaks: str,
    *,
    found_by: str,
    usually: int,
    raises: tuple[type[BaseException], ...] = FAILURES,
    slow: bool = False,
) -> Callable[[Planter], Planter]:
    """Register a function that plants a bug: its name is the bug's, its docstring says what it is."""

    def register(plant: Planter) -> Planter:
        name = plant.__name__.replace("_", "-")
        assert name not in PLANTED, name
        assert plant.__doc__, name
        PLANTED[name] = Planted(name, plant.__doc__, breaks, found_by, usually, raises, plant, slow)
        return plant

    return register


@contextmanager
def planted(name: str) -> Iterator[Planted]:
    """Plant a bug for as long as the block lasts.  Raises KeyError for one that nobody knows."""
    chosen = PLANTED[name]
    with ExitStack() as stack:

        def patch(owner: object, name: str, value: object) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        chosen.plant(patch)
        yield chosen
