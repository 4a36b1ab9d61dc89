"""From configuration to sockets: which way to the kernel is wanted, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from snowowl.config import Config
from snowowl.datagram.capabilities import Capabilities
from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork

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


def without(capabilities: Capabilities) -> Iterator[str]:
    """Yield a warning for each key that has no effect on this machine."""
    for missing in capabilities.missing:
        yield f"{_KEYS[missing.feature]} has no effect: {missing.reason}"
