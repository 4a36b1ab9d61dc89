"""A pytest plugin: `-p tests.security.unguarded`, with UNGUARDED=N in the environment, takes a guard away."""

from __future__ import annotations

import os
from unittest import mock

from hypothesis import Phase, settings

from tests.security import guards  # noqa: F401 - registers them
from tests.security.rows import ROWS


def pytest_configure() -> None:
    """Take the guard away before any test is imported."""
    chosen = ROWS[int(os.environ["UNGUARDED"])]

    def patch(owner: object, name: str, value: object) -> None:
        mock.patch.object(owner, name, value).start()

    chosen.without(patch)


def pytest_sessionstart() -> None:
    """Do not shrink what is found: that it is found is all that matters."""
    settings.register_profile("unguarded", settings(), phases=(Phase.explicit, Phase.generate))
    settings.load_profile("unguarded")
