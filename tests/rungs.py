"""The ways to the kernel that the suite can be made to take: `pytest --rung NAME`, `nox -s rungs`.

What a test says itself stands.  Where it says nothing, a server process is configured so
(`tests.real.harness`), and a network in the test's own process is made so; the library knows
nothing of it.
"""

from __future__ import annotations

from typing import Final

import attrs
import pytest

from snowowl.datagram.settings import Settings


@attrs.frozen
class Way:
    """Settings for a network, and the same as the beginning of a server's configuration."""

    settings: Settings
    toml: str


_PLATFORM: Final = "performance.platform"

WAYS: Final = {
    "portable": Way(Settings(rung="portable"), f'{_PLATFORM}.rung = "portable"\n'),
    "mmsg": Way(Settings(rung="mmsg"), f'{_PLATFORM}.rung = "mmsg"\n'),
    "gso": Way(Settings(rung="gso"), f'{_PLATFORM}.rung = "gso"\n'),
    "gso-one-by-one": Way(
        Settings(rung="gso", recvmmsg=False, sendmmsg=False),
        f'{_PLATFORM}.rung = "gso"\n'
        f"{_PLATFORM}.batch.enable_recvmmsg = false\n"
        f"{_PLATFORM}.batch.enable_sendmmsg = false\n",
    ),
    "gso-sendfile": Way(
        Settings(rung="gso", sendfile=True, sendfile_block_min=512),
        f'{_PLATFORM}.rung = "gso"\n'
        f"{_PLATFORM}.zero_copy.use_sendfile = true\n"
        f"{_PLATFORM}.zero_copy.sendfile_blksize_min = 512\n",
    ),
    "gso-zerocopy": Way(
        Settings(rung="gso", zerocopy=True, zerocopy_min=1),
        f'{_PLATFORM}.rung = "gso"\n'
        f"{_PLATFORM}.zero_copy.use_msg_zerocopy = true\n"
        f"{_PLATFORM}.zero_copy.msg_zerocopy_threshold_bytes = 1\n",
    ),
}

_forced: list[Way] = []


def force(name: str) -> None:
    """Have all tests from now on go this way, but for those that name another."""
    _forced[:] = [WAYS[name]]
    patch = pytest.MonkeyPatch()  # never undone: it is for the whole run
    patch.setattr("snowowl.datagram.system.Settings", lambda: WAYS[name].settings)


def forced_toml(config: str) -> str:
    """Return a configuration with the way that is forced, unless it has one itself."""
    return config if "performance" in config else "".join(way.toml for way in _forced) + config
