"""What percov finds wrong, and that its list is about modules that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole_repo import own_tests
from tests.whole_repo.own_tests import ROOT, modules
from tests.whole_repo.percov import LIST, QUICK, SLOW, SPREAD, WHOLE, Result, judge, read_list

RINGS = {
    path.name
    for path in (ROOT / "snowowl").iterdir()
    if path.is_dir() and list(path.glob("[a-z]*.py"))
}


def test_the_list_is_about_modules_that_there_are() -> None:
    listed = read_list(LIST.read_text(encoding="utf-8"))
    there = {module.as_posix() for module in modules((*QUICK, *SLOW))}
    assert set(listed) <= there, "remove what is gone"
    assert all(count > 0 for count in listed.values())
    assert not [module for module in listed if module.split("/")[1] in WHOLE]


def test_every_ring_is_measured() -> None:
    assert {*QUICK, *SLOW} == RINGS


@pytest.mark.parametrize(
    ("count", "limit", "word"),
    [
        (0, None, ""),
        (1, None, "new"),
        (9, 9, ""),
        (9 + SPREAD, 9, ""),
        (10 + SPREAD, 9, "not more than 9"),
        (9 - SPREAD, 9, ""),
        (8 - SPREAD, 9, "write that down"),
        (0, 1, "write that down"),
    ],
)
def test_the_list_can_only_shrink(count: int, limit: int | None, word: str) -> None:
    limits = {} if limit is None else {"snowowl/server/serve.py": limit}
    wrong = judge(Result("snowowl/server/serve.py", count, "7, 8->9"), limits)
    assert bool(wrong) == bool(word)
    assert word in wrong


def test_of_the_core_nothing_is_left_out() -> None:
    assert judge(Result("snowowl/wire/codec.py", 1, "7"), {"snowowl/wire/codec.py": 5}) == "7"


def test_own_tests_are_found_by_name() -> None:
    found = own_tests.tests_of(Path("snowowl/protocol/sending.py"))
    assert [path.name for path in found][:1] == ["test_sending.py"]
    assert "test_sending_ends.py" in [path.name for path in found]
    names = [path.name for path in own_tests.tests_of(Path("snowowl/client/load.py"))]
    assert names == ["test_load.py"]
