"""The netboot trials' own marker."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "netboot: boots real loaders in QEMU; needs root")
