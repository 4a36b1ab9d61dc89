"""Folders to serve that another user can enter too, which pytest's own are not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def root() -> Iterator[Path]:
    """Make an empty folder to serve."""
    folder = Path(tempfile.mkdtemp(prefix="snowowl-root-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shared_root() -> Iterator[Path]:
    """Make an empty folder for all tests of a module."""
    folder = Path(tempfile.mkdtemp(prefix="snowowl-root-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
