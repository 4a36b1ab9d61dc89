"""Sees to it that no playbook is begun and not ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snowowl.testing.playbook import UNFINISHED


@pytest.fixture(autouse=True)
def _no_unfinished_playbook() -> Iterator[None]:
    UNFINISHED.clear()
    yield
    unfinished = [repr(playbook.transfer) for playbook in UNFINISHED]
    assert not unfinished, f"playbooks without done(): {unfinished}"
