"""Every rule of real boot clients has a test, and every clause that a test names has a form.

A rule is pinned by `@pytest.mark.rule("R6")`; the marks are read from the sources, so that a test
that is skipped here still counts.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parents[1]
RULES: Final = tuple(f"R{number}" for number in range(1, 15))

RFCS_OF_THE_PROTOCOL: Final = ("1123", "1350", "2347", "2348", "2349", "7440")
"""The RFCs that a TFTP server answers to; each has tests."""

CLAUSE: Final = re.compile(r"(?P<rfc>\d{3,4})( (appendix|\d+(\.\d+)*))?")
"""An RFC's number, and a section of it if it has any that matter."""


def marks(source: str, name: str) -> Iterator[str]:
    """Yield the arguments of a mark where it decorates tests, or is the `pytestmark` of a module."""
    for node in ast.walk(ast.parse(source)):
        marked: list[ast.expr] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_"):
                marked = node.decorator_list
        elif isinstance(node, ast.ClassDef):
            marked = node.decorator_list
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            marked = node.value.elts if isinstance(node.value, ast.List) else [node.value]
        for mark in marked:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{name}":
                yield from (str(ast.literal_eval(argument)) for argument in mark.args)


@functools.cache
def all_marks(name: str) -> dict[str, list[str]]:
    """Return the arguments of a mark in all tests, and the modules that have it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for argument in marks(path.read_text(encoding="utf-8"), name):
            found.setdefault(argument, []).append(str(path.relative_to(TESTS)))
    return found


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test(rule: str) -> None:
    assert all_marks("rule").get(rule), f"no test is marked @pytest.mark.rule({rule!r})"


def test_no_test_names_a_rule_that_does_not_exist() -> None:
    unknown = {rule: where for rule, where in all_marks("rule").items() if rule not in RULES}
    assert not unknown


@pytest.mark.parametrize("rfc", RFCS_OF_THE_PROTOCOL)
def test_every_rfc_has_a_test(rfc: str) -> None:
    assert [clause for clause in all_marks("rfc") if clause.split()[0] == rfc]


def test_clauses_are_written_alike() -> None:
    odd = [clause for clause in all_marks("rfc") if not CLAUSE.fullmatch(clause)]
    assert not odd


def test_marks_are_read_where_they_stand() -> None:
    source = """
pytestmark = [pytest.mark.rule("R1"), pytest.mark.slow]

@pytest.mark.rule("R2")
@pytest.mark.parametrize("rule", ["R3"])
async def test_one(rule): ...

@pytest.mark.rule("R4")
class TestTwo: ...

@pytest.mark.rule("R5")
def helper(): ...

\"\"\"pytest.mark.rule("R6")\"\"\"
other = pytest.mark.rule("R7")
"""
    assert sorted(marks(source, "rule")) == ["R1", "R2", "R4"]
    assert list(marks('pytestmark = pytest.mark.rule("R8")', "rule")) == ["R8"]
