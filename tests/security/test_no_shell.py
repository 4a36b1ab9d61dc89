"""Nothing is run by a shell; what is run at all, and where, is listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[2] / "snowowl"

ADDED: Final = ""
"""Source that is looked at, too: for the proof that the test can fail."""

RUNS: Final = {
    "server/worker_process.py": "workers: this Python, with a number",
    "testing/fuzzing/owned.py": "the command of `snowowl fuzz --command`",
}

_SHELLS: Final = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"}
_STARTS: Final = {
    "Popen",
    "open_process",
    "run_process",
    "execv",
    "execve",
    "execvp",
    "posix_spawn",
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))
    yield "added", ast.parse(ADDED)


def called(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def owner_of(call: ast.Call) -> str:
    function = call.func
    return getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""


def test_nothing_is_run_by_a_shell() -> None:
    for file, tree in sources():
        for call in called(tree):
            assert name_of(call) not in _SHELLS or owner_of(call) == "platform", (file, call.lineno)
            words = {keyword.arg: keyword.value for keyword in call.keywords}
            assert "shell" not in words, (file, call.lineno)


def test_programs_are_started_where_it_is_said() -> None:
    starting = {
        file for file, tree in sources() for call in called(tree) if name_of(call) in _STARTS
    }
    assert starting == set(RUNS)
