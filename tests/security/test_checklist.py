"""The checklist of failures: every row has its guard, and tests that fail without it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security import guards  # noqa: F401 - registers them
from tests.security.rows import ROWS, Row

TESTS = Path(__file__).parents[1]
LAST = 22


def test_every_row_is_there() -> None:
    assert sorted({row.number for row in ROWS}) == list(range(1, LAST + 1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_the_tests_of_a_row_exist(row: Row) -> None:
    assert row.tests
    for test in row.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        names = [
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert name in names, test


@pytest.mark.parametrize("index", range(len(ROWS)), ids=[str(row.number) for row in ROWS])
def test_without_its_guard_each_test_of_a_row_fails(index: int) -> None:
    tests = ROWS[index].tests
    files = dict.fromkeys(str(TESTS / test.partition("::")[0]) for test in tests)
    names = " or ".join(test.partition("::")[2] for test in tests)
    plugins = ["-p", "tests.security.unguarded", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", *plugins, *files, "-k", names],
        env={**os.environ, "UNGUARDED": str(index)},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for test in tests:
        assert f"FAILED tests/{test}" in done.stdout, done.stdout + done.stderr
