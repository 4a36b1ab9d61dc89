"""How fast files go over bad links is kept as a table: nothing makes it worse unnoticed."""

from __future__ import annotations

from tests.sim.goodput import difference


def test_goodput_is_what_it_was() -> None:
    changed = difference()
    assert not changed, (
        f"{changed}\n\nIf that is meant: python -m tests.sim.goodput --write, and say why in the commit"
    )
