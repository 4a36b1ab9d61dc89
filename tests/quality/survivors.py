"""The list of changes to the code that no test notices, each with the reason why that is right.

The list may only shrink: a survivor that is not on it fails the session of mutants, and so does an
entry whose mutant is found, or is no longer made.  An entry is

    snowowl/protocol/window.py SendWindow.slide
    - if self.next < self.base:
    + if self.next <= self.base:
    equal: the assignment then changes nothing

with `#2` behind the function's name for the second change that reads alike.  Line numbers are not in
it, so that it stands until the line itself is written anew.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

FILE: Final = Path(__file__).with_name("survivors.txt")
MODULE_SCOPE: Final = "<module>"

UNEXAMINED: Final = "not examined yet"
"""The reason of an entry that was written by the session, and that nobody has thought about."""

_HEAD: Final = re.compile(r"(?P<module>\S+\.py) (?P<scope>[\w.<>]+)( #(?P<number>\d+))?")


@attrs.frozen(order=True)
class Change:
    """What was changed: lines of a function, of a class body or of the module itself."""

    module: str
    scope: str
    before: str
    after: str
    number: int = 1

    def __str__(self) -> str:
        number = f" #{self.number}" if self.number > 1 else ""
        return f"{self.module} {self.scope}{number}\n- {self.before}\n+ {self.after}".rstrip()


@attrs.frozen
class Survivor:
    """A change, and why no test needs to notice it."""

    change: Change
    reason: str

    def __str__(self) -> str:
        return f"{self.change}\n{self.reason}"


class MalformedList(ValueError):  # noqa: N818 - what is wrong, not that something is
    """The text is not a list of survivors; the message says where."""


def parse(text: str) -> list[Survivor]:
    """Read a list.  Raises MalformedList."""
    return list(_survivors(text))


def _survivors(text: str) -> Iterator[Survivor]:
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.strip().splitlines() if not line.startswith("#")]
        if not lines:
            continue
        head = _HEAD.fullmatch(lines[0])
        if head is None:
            raise MalformedList(f"not `path.py function`: {lines[0]!r}")
        if len(lines) < 4 or lines[1][:1] != "-" or lines[2][:1] != "+":
            raise MalformedList(f"not `- before`, `+ after`, reason: {lines[1:]!r}")
        before, after = lines[1][2:], lines[2][2:]
        number = int(head["number"] or 1)
        change = Change(head["module"], head["scope"], before, after, number)
        yield Survivor(change, " ".join(lines[3:]))


def dump(survivors: Iterable[Survivor], heading: str) -> str:
    """Return the text of a list, in the order in which `parse` wants it."""
    blocks = [str(survivor) for survivor in sorted(survivors, key=lambda each: each.change)]
    return "\n\n".join([heading, *blocks]) + "\n"


def heading_of(text: str) -> str:
    """Return the comment at the beginning of a list."""
    return text.partition("\n\n")[0].rstrip("\n")


@functools.cache
def scopes_of(source: str) -> dict[str, str]:
    """Return the source of every function and class of a module, and of the module, by its name."""
    found = {MODULE_SCOPE: source}

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = prefix + node.name
                found[name] = ast.get_source_segment(source, node) or ""
                walk(node.body, f"{name}.")

    walk(ast.parse(source).body, "")
    return found


def problem_with(survivor: Survivor, root: Path) -> str | None:
    """Return what is wrong with an entry that can be told without running anything."""
    change = survivor.change
    path = root / change.module
    if not path.is_file():
        return f"there is no {change.module}"
    scope = scopes_of(path.read_text(encoding="utf-8")).get(change.scope)
    if scope is None:
        return f"{change.module} has no {change.scope}"
    if change.before not in " ".join(scope.split()):
        return f"{change.module} {change.scope} has no `{change.before}` any more"
    if len(survivor.reason.split()) < 3:
        return f"no reason is given for {change}"
    return None
