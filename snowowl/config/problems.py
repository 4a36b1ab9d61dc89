"""What is wrong with a configuration, said once for each mistake.

`ConfigError` is the only exception that reading a configuration raises, and it holds every
problem that was found, not the first.  No checks may be here.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from snowowl.config.words import printable


@attrs.frozen
class Problem:
    """One mistake; `str()` is one line in the style of a compiler: `file:line: key: message`."""

    file: str
    """The file, or what else the value came from: `SNOWOWL_LISTEN`, `--listen`."""
    line: int
    """Counted from 1; 0 when there is no line to name."""
    key_path: str
    """`server.listen[1]`; empty when the problem is not about one key."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key_path}: " if self.key_path else ""
        return printable(f"{place}: {key}{self.message}")


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason, sorted by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
