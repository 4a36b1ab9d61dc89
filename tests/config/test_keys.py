"""Walking the tables of a model, however deep they lie in each other."""

from __future__ import annotations

import attrs

from snowowl.config.keys import changed, doc, own_keys, part, tables


@attrs.frozen
class Innermost:
    depth: int = attrs.field(default=3, metadata=doc("How deep."))


@attrs.frozen
class Inner:
    innermost: Innermost = attrs.field(factory=Innermost)
    depth: int = 2


@attrs.frozen
class Other:
    depth: int = 1


@attrs.frozen
class Top:
    inner: Inner = attrs.field(factory=Inner)
    plain: str = "x"
    other: Other = attrs.field(factory=Other)


def test_tables_come_before_those_in_them_and_in_the_order_of_the_model() -> None:
    assert list(tables(Top).items()) == [
        ((), Top),
        (("inner",), Inner),
        (("inner", "innermost"), Innermost),
        (("other",), Other),
    ]


def test_the_own_keys_of_a_table_are_no_tables() -> None:
    assert [key.name for key in own_keys(Top)] == ["plain"]
    assert [key.name for key in own_keys(Inner)] == ["depth"]


def test_a_table_is_found_by_its_path() -> None:
    top = Top(inner=Inner(innermost=Innermost(depth=9)))
    assert part(top, ()) is top
    assert part(top, ("inner", "innermost")) == Innermost(depth=9)


def test_what_was_changed_is_named_by_its_path() -> None:
    assert list(changed(Top())) == []
    assert list(changed(Top(plain="y", inner=Inner(innermost=Innermost(depth=9))))) == [
        "plain",
        "inner.innermost.depth",
    ]
    assert list(changed(Innermost(depth=9))) == ["depth"]
