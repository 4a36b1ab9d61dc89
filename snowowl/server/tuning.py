"""How a pump trades waiting for work: what the configuration says of it, in seconds and counts."""

from __future__ import annotations

import attrs

from snowowl.config import Config


@attrs.frozen(kw_only=True)
class Tuning:
    """The keys that the pumps of a server obey."""

    poll_seconds: float = 0.0
    """How long to look for the next packet before parking."""
    fill_seconds: float = 0.0
    """How long a batch may wait to fill."""
    batch_max: int = 32
    """Datagrams in a full batch."""


def tuning_of(config: Config) -> Tuning:
    """Return what a configuration says."""
    platform = config.performance.platform
    batch = platform.batch
    fills = batch.enable_recvmmsg and platform.rung != "portable"
    return Tuning(
        poll_seconds=platform.poll_us / 1e6,
        fill_seconds=batch.batch_timeout_us / 1e6 if fills else 0.0,
        batch_max=batch.max_batch_size,
    )
