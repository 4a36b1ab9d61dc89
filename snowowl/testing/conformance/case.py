"""What a case is, and the chapters that hold them.  Nothing of how they are run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import attrs

from snowowl.testing.conformance.verdicts import Level

if TYPE_CHECKING:
    from snowowl.testing.conformance.stage import Stage

Play = Callable[["Stage"], Awaitable[str | None]]
"""A case's script.  It returns for OK, with a remark if there is one, or raises a `Judged`."""

WRITE: Final = "write"
"""What a case needs that writes; beside the names of options."""


@attrs.frozen(kw_only=True)
class Case:
    """One thing that must be true of a server."""

    id: str
    """From the clause, as `1350-6-dally`: unique, and never given another meaning."""
    chapter: str
    """The RFC that it belongs to, or what else it is part of."""
    clause: str
    """RFC and section, or who needs it."""
    level: Level
    text: str
    """One sentence: what must be true."""
    play: Play
    needs: tuple[str, ...] = ()
    """Options that the server has to grant for it, and `WRITE`."""
    size_min: int = 0
    """Octets that the file must have."""
    alone: bool = False
    """It sends what might end a server: nothing else runs then, and the server is looked at after."""
    long: bool = False
    """It takes long, and runs only if that is asked for."""


class Chapter:
    """The cases of one RFC, or of one matter, in the order in which they were defined."""

    def __init__(self, title: str, *, alone: bool = False) -> None:
        self.title = title
        self.cases: list[Case] = []
        self._alone = alone

    def case(
        self,
        case_id: str,
        clause: str,
        level: Level,
        text: str,
        *,
        needs: tuple[str, ...] = (),
        size_min: int = 0,
        alone: bool = False,
        long: bool = False,
    ) -> Callable[[Play], Play]:
        """Add the decorated coroutine function as a case.  One function may serve several."""

        def add(play: Play) -> Play:
            self.cases.append(
                Case(
                    id=case_id,
                    chapter=self.title,
                    clause=clause,
                    level=level,
                    text=text,
                    play=play,
                    needs=needs,
                    size_min=size_min,
                    alone=alone or self._alone,
                    long=long,
                )
            )
            return play

        return add
