"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.scripts import public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that everybody may enter."""
    with public_folder() as made:
        yield made
