"""What one run of the swarm is like, drawn from its seed.

Each run has a random subset of faults, and those that it has with wildly different probabilities:
faults hide each other, so a run with all of them at once finds less than many runs with some.
"""

from __future__ import annotations

import random
from typing import Literal

import attrs

from snowowl.testing.kernel import KernelFaults, ReceiveBuffer
from snowowl.testing.link import Link

Tid = Literal["shared", "own", "listen"]
TIDS: tuple[Tid, ...] = ("shared", "own", "listen")


@attrs.frozen(kw_only=True)
class Scenario:
    """All that differs between runs, but for what clients draw themselves."""

    seed: int
    tid: Tid
    families: str
    """`4`, `6` or `46`."""
    link: Link
    server_kernel: KernelFaults
    client_kernel: KernelFaults
    coalesces: bool
    receive_buffer: ReceiveBuffer | None
    disk_seconds: float
    disk_cold: float
    disk_full: float
    disk_broken: float
    machines: int
    seconds: float
    """How long clients begin anything, in virtual seconds."""
    overwrite: bool
    transfers_max: int
    turns: float
    """Mean seconds between restarts and reloads; 0: none."""
    cuts: float
    """Mean seconds between partitions; 0: none."""
    deaths: float
    """The probability that a machine is reset while it boots."""
    changes: float
    """Mean seconds between changes of the files that are served; 0: none."""
    strangers: float
    """Mean seconds between hostile datagrams; 0: none."""

    @property
    def mutilates(self) -> bool:
        """Say whether flipped bits arrive: then TFTP cannot promise any octet."""
        return bool(self.link.corruption) and not self.link.checksums


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    draws = random.Random(seed)

    def maybe(low: float, high: float) -> float:
        """Return 0 in half of all runs, else anything between, by its magnitude."""
        return low * (high / low) ** draws.random() if draws.random() < 0.5 else 0.0

    def faults(weight: float) -> KernelFaults:
        return KernelFaults(
            blocked=maybe(0.001, 0.2 * weight),
            no_buffers=maybe(0.001, 0.1 * weight),
            forbidden=maybe(0.001, 0.05 * weight),
            too_large=maybe(0.0001, 0.002) if weight == 1 else 0.0,
            trains=maybe(0.01, 0.5),
            receiving=maybe(0.001, 0.1 * weight),
            stalls=maybe(0.001, 0.1),
            stall_seconds=draws.choice((0.01, 0.1, 0.5)),
            no_descriptors=maybe(0.01, 0.3) if weight == 1 else 0.0,
            no_ports=maybe(0.01, 0.1) if weight == 1 else 0.0,
        )

    link = Link(
        loss=maybe(0.001, 0.2),
        duplication=maybe(0.001, 0.2),
        reordering=maybe(0.001, 0.5),
        corruption=maybe(0.0005, 0.05),
        checksums=draws.random() < 0.8,
        delay_seconds=draws.choice((0.0, 0.0005, 0.005, 0.05)),
        late_seconds=draws.choice((0.002, 0.02, 0.3)),
        mtu=draws.choice((1500, 1500, 1500, 1280, 9000)),
        octets_per_second=draws.choice((float("inf"), float("inf"), 1e7, 1e6)),
        queue_octets=draws.choice((float("inf"), 64_000, 256_000)),
    )
    return Scenario(
        seed=seed,
        tid=draws.choice(TIDS),
        families=draws.choice(("4", "6", "46")),
        link=link,
        server_kernel=faults(1) if draws.random() < 0.5 else KernelFaults(),
        client_kernel=faults(0.5) if draws.random() < 0.3 else KernelFaults(),
        coalesces=draws.random() < 0.5,
        receive_buffer=draws.choice(
            (None, None, ReceiveBuffer(datagrams=32), ReceiveBuffer(octets=20_000))
        ),
        disk_seconds=maybe(0.001, 0.5),
        disk_cold=maybe(0.05, 1.0),
        disk_full=maybe(0.01, 0.3),
        disk_broken=maybe(0.01, 0.2),
        machines=draws.choice((3, 10, 25)),
        seconds=draws.choice((5.0, 20.0)),
        overwrite=draws.random() < 0.5,
        transfers_max=draws.choice((2, 10_000, 10_000)),
        turns=maybe(2.0, 20.0),
        cuts=maybe(1.0, 20.0),
        deaths=maybe(0.05, 0.5),
        changes=maybe(0.5, 10.0),
        strangers=maybe(0.02, 2.0),
    )
