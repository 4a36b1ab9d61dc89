"""Mutants of a module: its source with one small change each, and words for the change.

The operators are mutmut's, the field's own list.  Its driver is not used, because it leaves out
what is decorated (each property), class bodies and constants; in the pure core that is where much of
the protocol stands.  Here every expression is changed but those that only people or type checkers
read: annotations, decorators, docstrings, imports, type aliases.  Of a string only the one change
"XX...XX" is made: the case of a message is not behaviour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import mutation_operators, operator_string

from tests.quality.survivors import MODULE_SCOPE, Change

_SKIPPED: Final = (
    m.Annotation()
    | m.Decorator()
    | m.Import()
    | m.ImportFrom()
    | m.Assign(targets=[m.AssignTarget(m.Name("__slots__"))])
    | m.Call(func=m.Name("assert_never") | m.Name("TypeVar") | m.Name("cast"))
    | m.If(test=m.Name("TYPE_CHECKING"))
    | m.Assign(value=m.BinaryOperation(operator=m.BitOr()) | m.Subscript(value=m.Name("tuple")))
)
"""Never changed, nor anything in it: the last two are type aliases."""


@attrs.frozen
class Mutant:
    """A changed module."""

    module: Path
    change: Change
    source: str = attrs.field(repr=False)
    lines: range
    """The lines of the unchanged source that differ."""


class _Places(cst.CSTVisitor):
    """Collects (scope, node, changed node)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.CSTNode, cst.CSTNode]] = []
        self._scopes: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _SKIPPED):
            return False
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self._scopes.append(node.name.value)
        scope = ".".join(self._scopes) or MODULE_SCOPE
        self.found += [(scope, node, changed) for changed in _changes(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            self._scopes.pop()


def _changes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutation_operators:
        if not isinstance(node, kind):
            continue
        for changed in operator(node):
            yield changed
            if operator is operator_string:
                break


def mutants_of(module: Path, source: str) -> Iterator[Mutant]:
    """Yield the mutants of a module, each with other octets; that it compiles is not promised."""
    tree = cst.parse_module(source)
    places = _Places()
    tree.visit(places)
    alike: Counter[tuple[str, str, str]] = Counter()
    for scope, node, changed in places.found:
        mutated = tree.deep_replace(node, changed)
        assert isinstance(mutated, cst.Module)
        before, after, lines = difference(source, mutated.code)
        if before == after:
            continue
        alike[scope, before, after] += 1
        change = Change(module.as_posix(), scope, before, after, alike[scope, before, after])
        yield Mutant(module, change, mutated.code, lines)


def difference(source: str, changed: str) -> tuple[str, str, range]:
    """Return what differs, before and after, each as one line, and the numbers of its lines."""
    old, new = source.splitlines(), changed.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return (
        one_line(old[start : len(old) - end]),
        one_line(new[start : len(new) - end]),
        range(start + 1, len(old) - end + 1),
    )


def one_line(lines: list[str]) -> str:
    """Return lines as one, with single spaces."""
    return " ".join(" ".join(lines).split())
