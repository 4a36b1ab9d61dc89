"""Where the rules of security are set aside, and why: ``python tests/whole_repo/exceptions.py``.

Nothing but the standard library: it runs where nothing is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
LOOKED_AT: Final = ("snowowl", "examples", "noxfile.py")
_NOQA: Final = re.compile(r"#\s*noqa(?P<codes>:[A-Z0-9, ]+?)?(?P<rest>\s+-\s+.*|\s*)$")
_NOSEC: Final = re.compile(r"#\s*nosec\b(?P<codes>[:\sA-Z0-9,]*?)(?P<rest>\s+-\s+.*|\s*)$")
_SECURITY: Final = re.compile(r"\bS\d{3}\b")
REASON_MIN: Final = 5
"""Letters of a reason."""


class Exempted(NamedTuple):
    """A line that a rule is not asked of."""

    place: str
    codes: str
    reason: str


def of_line(line: str) -> tuple[str, str] | None:
    """Return (codes, reason) of a line that sets a rule of security aside, None for any other."""
    if (nosec := _NOSEC.search(line)) is not None:
        return nosec["codes"].strip(" :") or "all", nosec["rest"].strip(" -")
    noqa = _NOQA.search(line)
    if noqa is None or (noqa["codes"] is not None and not _SECURITY.search(noqa["codes"])):
        return None
    return (noqa["codes"] or "all").strip(" :"), noqa["rest"].strip(" -")


def exceptions() -> Iterator[Exempted]:
    """Yield every line that sets a rule of security aside."""
    for top in LOOKED_AT:
        path = ROOT / top
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if (found := of_line(line)) is not None:
                    yield Exempted(f"{file.relative_to(ROOT)}:{number}", *found)


if __name__ == "__main__":
    for each in exceptions():
        print(f"{each.place}: {each.codes}: {each.reason}")  # noqa: T201 - what it is for
