"""What the tests of the suite share with those of the server: a world, a clock that jumps."""

from __future__ import annotations

from tests.server.conftest import _no_leaked_descriptors, _no_threads, clock, world

__all__ = ["_no_leaked_descriptors", "_no_threads", "clock", "world"]
