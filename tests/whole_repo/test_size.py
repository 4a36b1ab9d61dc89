"""No module is long, no function is: what does not fit is two things."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FUNCTION_LINES_MAX: Final = 70
MODULE_LINES_MAX: Final = {"snowowl": 400, "examples": 400, "fuzz": 600, "tests": 600}
"""Tests are tables; they may be longer."""


def modules() -> list[Path]:
    """Return the modules of the repository, by their paths from its root."""
    found = [path for top in MODULE_LINES_MAX for path in sorted((ROOT / top).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in found]


def problems(source: str, lines_max: int) -> Iterator[str]:
    """Yield what is too long in a module, as `line: what`."""
    lines = source.count("\n")
    if lines > lines_max:
        yield f"1: {lines} lines, more than {lines_max}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_module_and_its_functions_are_short(module: Path) -> None:
    source = (ROOT / module).read_text(encoding="utf-8")
    found = list(problems(source, MODULE_LINES_MAX[module.parts[0]]))
    assert not found, "\n".join(f"{module}:{problem}" for problem in found)


def test_what_is_too_long_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    found = list(problems(f"class Long:\n  pass\n\nasync def long():\n{body}", 50))
    assert found == ["1: 74 lines, more than 50", "4: long has 71 lines, more than 70"]
    assert not list(problems(f"def short():\n{body[9:]}", 400))
