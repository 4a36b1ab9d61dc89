"""From configuration to sockets: which way to the kernel is wanted, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import attrs

from snowowl.config import Config
from snowowl.config.keys import changed
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from snowowl.wire.constants import BLKSIZE_MAX

_PLATFORM: Final = "performance.platform"
_KEYS: Final = {
    "rung": f"{_PLATFORM}.rung",
    "recvmmsg": f"{_PLATFORM}.batch.enable_recvmmsg",
    "sendmmsg": f"{_PLATFORM}.batch.enable_sendmmsg",
    "gso": f"{_PLATFORM}.offload.enable_gso",
    "gro": f"{_PLATFORM}.offload.enable_gro",
    "sendfile": f"{_PLATFORM}.zero_copy.use_sendfile",
    "zerocopy": f"{_PLATFORM}.zero_copy.use_msg_zerocopy",
}
"""The key of each feature of `Settings`."""


def settings_of(config: Config) -> Settings:
    """Return how sockets are to be opened."""
    performance = config.performance
    platform, sockets = performance.platform, performance.sockets
    batch, zero_copy, offload = platform.batch, platform.zero_copy, platform.offload
    return Settings(
        rung=platform.rung,
        recvmmsg=batch.enable_recvmmsg,
        sendmmsg=batch.enable_sendmmsg,
        batch_max=batch.max_batch_size,
        gso=offload.enable_gso,
        gro=offload.enable_gro,
        receive_buffer=sockets.recv_buffer_kb * 1024,
        send_buffer=sockets.send_buffer_kb * 1024,
        sendfile=zero_copy.use_sendfile,
        sendfile_file_min=zero_copy.sendfile_threshold_bytes,
        sendfile_block_min=zero_copy.sendfile_blksize_min,
        zerocopy=zero_copy.use_msg_zerocopy,
        zerocopy_min=zero_copy.msg_zerocopy_threshold_bytes,
    )


def system_network(config: Config) -> SystemNetwork:
    """Return the network for a server: its pumps deal with a batch before any receives again."""
    return SystemNetwork(settings_of(config), shares_slots=True)


def without(config: Config, capabilities: Capabilities) -> Iterator[str]:
    """Yield a warning for each key that has no effect on this machine.

    For a switch, also if nobody has turned it: the server is slower than it says it would be.  For
    all else only if somebody has set it.  Nothing that `Config.warnings` says already.
    """
    performance = config.performance
    platform, files = performance.platform, performance.files
    named = {_KEYS[missing.feature]: missing.reason for missing in capabilities.missing}
    if capabilities.rung == "portable":
        lowered = attrs.evolve(performance, platform=attrs.evolve(platform, rung="portable"))
        for key, _ in lowered.unused(BLKSIZE_MAX):
            named.setdefault(key, "nothing but the rung portable works here")
    set_keys = set(changed(performance))
    for path, value, function in (
        ("platform.poll_us", platform.poll_us, "sched_yield"),
        ("files.read_ahead_kb", files.read_ahead_kb, "posix_fadvise"),
    ):
        if value and path in set_keys and not hasattr(os, function):
            named[f"performance.{path}"] = f"this system has no {function}"
    known = dict(performance.unused(BLKSIZE_MAX))
    for key, reason in named.items():
        if key not in known:
            yield f"{key} has no effect: {reason}"
