"""Faults by name: how they are written, what is said of a mistake, and what is told of each."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.testing.faults import FAULTS, FaultError, every_fault, parse_fault
from snowowl.testing.faults.catalog import random_faults
from snowowl.testing.faults.parameters import parameters_of


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_told_of_each(name: str) -> None:
    fault = FAULTS[name]
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert fault.correct.endswith(".")
    assert not fault.what.endswith(".")
    assert re.match(r"RFC \d|none: ", fault.clause), fault.clause
    assert all(parameter.help for parameter in parameters_of(fault))
    for parameter in parameters_of(fault):
        assert parameter.parse(str(parameter.default)) == parameter.default


def test_specs_are_written_as_they_are_read() -> None:
    specs = list(every_fault(costly=True))
    assert len(set(specs)) == len(specs) > 120
    assert [parse_fault(str(spec)) for spec in specs] == specs
    assert {spec.name for spec in specs} == set(FAULTS)


def test_parameters_reach_the_fault() -> None:
    fault = parse_fault("lost-data:block=7,times=3").make("seed")
    assert (getattr(fault, "block", 0), getattr(fault, "times", 0)) == (7, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lost-dat", "there is no fault 'lost-dat' (did you mean lost-data?)"),
        ("", "there is no fault ''"),
        ("zzzzzz", "`snowowl faults --list` has them all"),
        ("lost-data:", "lost-data has no parameter ''"),
        ("lost-data:blok=3", "lost-data has no parameter 'blok': its parameters are block, times"),
        ("lost-data:block", "lost-data: block needs a value, like block=2"),
        ("lost-data:block=", "lost-data: block must be a whole number from 0 to 16777216, not ''"),
        ("lost-data:block=1,block=2", "block is given twice"),
        ("lost-data:times=256", "times must be a whole number from 0 to 255, not '256'"),
        ("lost-data:times=\u0663", "not '\u0663'"),
        ("lost-data:times=1e1", "not '1e1'"),
        ("delayed:seconds=nan", "seconds must be a number from 0 to 25, not 'nan'"),
        ("delayed:seconds=1_0", "not '1_0'"),
        ("wrong-block:number=nxt", "number must be one of next, previous, zero, 65535, far"),
        ("double-all:x=1", "double-all has no parameter 'x': it has none"),
        ("a\x1b[2J", "there is no fault 'a\\x1b[2J'"),
        ("x" * 1000, "a fault has at most 200 characters, not 1000"),
    ],
)
def test_what_is_no_fault(text: str, message: str) -> None:
    with pytest.raises(FaultError, match=re.escape(message)):
        parse_fault(text)


@given(
    st.text() | st.sampled_from(sorted(FAULTS)).flatmap(lambda n: st.text().map((n + ":").__add__))
)
def test_any_text_is_a_fault_or_an_error(text: str) -> None:
    spec = said = None
    try:
        spec = parse_fault(text)
    except FaultError as error:
        said = str(error)
    assert (spec is None) != (said is None)
    assert said is None or said.isprintable()
    assert spec is None or parse_fault(str(spec)) == spec


def test_random_faults_come_from_the_seed() -> None:
    first = list(random_faults(200, "1"))
    assert first == list(random_faults(200, "1"))
    assert first != list(random_faults(200, "2"))
    assert len({spec.name for spec in first}) > 40
    assert "rollover" not in {spec.name for spec in first}
