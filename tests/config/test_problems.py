"""A problem is one line in compiler style."""

from __future__ import annotations

import pickle

import pytest

from snowowl.config.problems import ConfigError, Problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.toml", 3, "log.level", "is bad"), "a.toml:3: log.level: is bad"),
        (Problem("a.toml", 3, "", "is bad"), "a.toml:3: is bad"),
        (Problem("a.toml", 0, "", "is bad"), "a.toml: is bad"),
        (Problem("--listen", 0, "server.listen", "is bad"), "--listen: server.listen: is bad"),
        (Problem("a\nb", 0, "", "is\x1b bad"), "a\\nb: is\\u001B bad"),
    ],
)
def test_rendering(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_the_error_lists_all_problems_by_line() -> None:
    error = ConfigError(Problem("f", line, "", f"m{line}") for line in (7, 0, 3))
    assert str(error) == "f: m0\nf:3: m3\nf:7: m7"
    assert [problem.line for problem in error.problems] == [0, 3, 7]


def test_the_error_survives_pickling() -> None:
    error = ConfigError([Problem("f", 1, "", "m")])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems
