"""The matrix: what nox runs is what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from tests.rungs import WAYS

ROOT: Final = Path(__file__).parents[2]
NOXFILE: Final = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))


def value_of(name: str) -> list[str]:
    """Return a list of texts that the noxfile assigns to a name."""
    for node in NOXFILE.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            value: list[str] = ast.literal_eval(node.value)
            return value
    raise LookupError(name)


def sessions() -> list[ast.FunctionDef]:
    return [
        node
        for node in NOXFILE.body
        if isinstance(node, ast.FunctionDef)
        and any("nox.session" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def test_every_rung_is_in_the_matrix() -> None:
    assert value_of("RUNGS") == list(WAYS)


def test_every_python_that_is_promised_is_in_the_matrix() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert value_of("PYTHONS") == re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def test_every_session_says_in_a_line_what_it_is_for() -> None:
    for session in sessions():
        said = ast.get_docstring(session) or ""
        assert said.endswith("."), session.name
        assert "\n" not in said, session.name
        assert len(said) < 100, session.name
