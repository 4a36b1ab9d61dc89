"""Sees to it that no playbook is begun and not ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snowowl.testing.playbook import all_told


@pytest.fixture(autouse=True)
def _no_unfinished_playbook() -> Iterator[None]:
    with all_told():
        yield
