"""The list of mutants that survive has its form, a reason for each, and is about code that there is."""

from __future__ import annotations

import pytest

from tests.quality.survivors import (
    FILE,
    UNEXAMINED,
    Change,
    MalformedList,
    Survivor,
    dump,
    heading_of,
    parse,
    problem_with,
)
from tests.whole_repo.own_tests import ROOT

TEXT = FILE.read_text(encoding="utf-8")
LISTED = parse(TEXT)

UNEXAMINED_MAX = 76
"""Entries without a reason of their own.  Only ever less: examine some, or kill them by better tests."""


def test_every_entry_is_about_code_that_there_is_and_has_a_reason() -> None:
    problems = [problem for entry in LISTED if (problem := problem_with(entry, ROOT))]
    assert not problems, "\n".join(problems)


def test_the_number_of_those_that_nobody_has_examined_only_shrinks() -> None:
    unexamined = sum(entry.reason == UNEXAMINED for entry in LISTED)
    assert unexamined <= UNEXAMINED_MAX, "give reasons, or better tests"
    assert unexamined == UNEXAMINED_MAX, f"there are only {unexamined} now: lower UNEXAMINED_MAX"


def test_the_list_is_in_order_and_nothing_is_in_it_twice() -> None:
    assert len({entry.change for entry in LISTED}) == len(LISTED)
    assert dump(LISTED, heading_of(TEXT)) == TEXT


def test_an_entry_reads_as_it_is_written() -> None:
    change = Change("snowowl/wire/codec.py", "encode", "a = 1", "", number=2)
    entry = Survivor(change, "nobody looks at it")
    assert parse(dump([entry], "# heading")) == [entry]
    assert problem_with(entry, ROOT) == "snowowl/wire/codec.py encode has no `a = 1` any more"
    assert "has no nothing" in str(
        problem_with(Survivor(Change("snowowl/wire/codec.py", "nothing", "", ""), "x"), ROOT)
    )
    assert "there is no" in str(problem_with(Survivor(Change("a.py", "b", "", ""), "x"), ROOT))
    assert "no reason" in str(
        problem_with(Survivor(Change("snowowl/wire/codec.py", "encode", "", ""), "TODO"), ROOT)
    )


@pytest.mark.parametrize("text", ["a.py f", "a.py f\n- x\n+ y", "what is this\n- x\n+ y\nwhy not"])
def test_what_is_no_entry_is_told(text: str) -> None:
    with pytest.raises(MalformedList):
        parse(text)
