"""What is measured: scenarios as data, and what each of them must show.

A scenario says what clients do, never how a server is started.  Sizes are chosen so that a run takes
0.5 to 3 s on two slow cores: most runs have a duration instead of a size, because the servers differ a
hundredfold in speed.  No file has more than 65535 blocks: not every server can go on after them.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

KIB: Final = 1024
MIB: Final = 1024 * 1024

LOSSY_CLIENTS: Final = 8
"""One client waits a second three times in a run, which says little; eight do so independently."""


class Measure(enum.Enum):
    """What a run yields."""

    RATE = "MB/s"
    TRANSFERS = "transfers/s"
    MEMORY = "MB"
    CALLS = "calls/block"

    @property
    def more_is_better(self) -> bool:
        return self in {Measure.RATE, Measure.TRANSFERS}


@attrs.frozen(kw_only=True)
class Target:
    """What section 4 of the performance plan demands.  Ratios are against the best peer of the row."""

    rate_ratio_min: float | None = None
    """MB/s or transfers/s of snowowl by the highest of any peer."""
    cpu_ratio_max: float | None = None
    """CPU per octet (or transfer) of snowowl by the lowest of any peer."""
    value_max: float | None = None
    """For what is not a ratio: MB, system calls a block."""
    complete: bool = False
    """Every transfer completes, and no request has to be sent twice."""


@attrs.frozen(kw_only=True)
class Scenario:
    """One row of the table."""

    key: str
    title: str
    file: str
    size: int
    """Octets of the file."""
    seconds: float
    """The longest that a run may take; with `repeat`, just as long."""
    blksize: int = 512
    windowsize: int = 1
    timeout_seconds: int = 0
    clients: int = 1
    repeat: bool = True
    """A client that has its file fetches it again, until the time is over."""
    measure: Measure = Measure.RATE
    upload: bool = False
    loss_percent: float = 0.0
    receive_buffer: int = 0
    """Of the clients, octets; 0: the system's default."""
    cpus: tuple[int, int] | None = None
    """The server's and the client's CPU, by index; None: where the scheduler puts them."""
    delay_us: int = 0
    """Each way, by a relay."""
    window_required: bool = False
    """A server that grants no window is not measured: its number would be another scenario's."""
    rounds_max: int = 99
    """Counts of calls and memory hardly differ between rounds."""
    target: Target = Target()

    def load_arguments(self, *, seconds: float, seed: int) -> list[str]:
        """Return the load generator's arguments, without places; the seconds come last."""
        words: list[tuple[str, object]] = [
            ("--clients", self.clients),
            ("--blksize", self.blksize),
            ("--windowsize", self.windowsize),
        ]
        if self.timeout_seconds:
            words.append(("--timeout", self.timeout_seconds))
        if self.loss_percent:
            words += [("--loss", self.loss_percent), ("--seed", seed)]
        if self.receive_buffer:
            words.append(("--receive-buffer", self.receive_buffer))
        flags = ["--repeat"] * self.repeat + ["--put"] * self.upload
        return [str(word) for pair in words for word in pair] + flags + ["--seconds", str(seconds)]


SCENARIOS: Final = (
    Scenario(
        key="window16",
        title="windowsize 16, 1428 B",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        windowsize=16,
        window_required=True,
        target=Target(rate_ratio_min=2.5, cpu_ratio_max=0.4),
    ),
    Scenario(
        key="window64",
        title="windowsize 64, 1428 B",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        windowsize=64,
        window_required=True,
        target=Target(rate_ratio_min=2.5, cpu_ratio_max=0.4),
    ),
    Scenario(
        # The clients have room for the window: what happens without it is a matter of loss feedback.
        key="blksize65464",
        title="65464 B, windowsize 8",
        file="image",
        size=256 * MIB,
        seconds=1.5,
        blksize=65464,
        windowsize=8,
        receive_buffer=4 * MIB,
        target=Target(rate_ratio_min=1.0),
    ),
    Scenario(
        key="clients100",
        title="100 clients, windowsize 8",
        file="initrd",
        size=MIB,
        seconds=2.0,
        blksize=1428,
        windowsize=8,
        clients=100,
        target=Target(rate_ratio_min=2.0, cpu_ratio_max=0.4),
    ),
    Scenario(
        key="clients1000",
        title="1000 clients, lock-step",
        file="loader",
        size=256 * KIB,
        seconds=6.0,
        blksize=1428,
        clients=1000,
        repeat=False,
        target=Target(rate_ratio_min=0.8, cpu_ratio_max=1.25, complete=True),
    ),
    Scenario(
        key="storm",
        title="storm: 64 clients, 1 KiB files",
        file="config",
        size=KIB,
        seconds=1.5,
        clients=64,
        measure=Measure.TRANSFERS,
        target=Target(rate_ratio_min=1.0, cpu_ratio_max=1.0),
    ),
    Scenario(
        key="loss",
        title="1 % loss, windowsize 16, 8 clients",
        file="kernel",
        size=64 * MIB,
        seconds=3.0,
        blksize=1428,
        windowsize=16,
        clients=LOSSY_CLIENTS,
        loss_percent=1.0,
        target=Target(rate_ratio_min=10.0),
    ),
    Scenario(
        key="loss-timeout",
        title="1 % loss, windowsize 16, 8 clients, timeout 1",
        file="kernel",
        size=64 * MIB,
        seconds=3.0,
        blksize=1428,
        windowsize=16,
        timeout_seconds=1,
        clients=LOSSY_CLIENTS,
        loss_percent=1.0,
        target=Target(rate_ratio_min=3.0),
    ),
    Scenario(
        key="upload",
        title="upload, windowsize 16, synced",
        file="upload",
        size=64 * MIB,
        seconds=8.0,
        blksize=1428,
        windowsize=16,
        repeat=False,
        upload=True,
        target=Target(rate_ratio_min=1.0),
    ),
    Scenario(
        key="lone1428",
        title="lock-step, 1428 B, 1 client, free CPUs",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        target=Target(rate_ratio_min=1.0, cpu_ratio_max=2.0),
    ),
    Scenario(
        # As with a client on another machine: every answer has to wake the server up.  With free CPUs the
        # scheduler may put both on one, which makes a peer twice as quick in one round and not in the next.
        key="apart1428",
        title="lock-step, 1428 B, 1 client, a CPU each",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        cpus=(0, 1),
    ),
    Scenario(
        key="lone512",
        title="lock-step, 512 B, 1 client, one CPU",
        file="lockstep",
        size=24 * MIB,
        seconds=1.5,
        cpus=(0, 0),
        target=Target(rate_ratio_min=0.6),
    ),
    Scenario(
        key="far-lone",
        title="lock-step, 1428 B, 200 us away",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        delay_us=100,
    ),
    Scenario(
        key="far-window16",
        title="windowsize 16, 1428 B, 200 us away",
        file="kernel",
        size=64 * MIB,
        seconds=1.5,
        blksize=1428,
        windowsize=16,
        delay_us=100,
        window_required=True,
    ),
    Scenario(
        key="memory",
        title="memory: 1000 transfers of one 256 MiB file",
        file="image",
        size=256 * MIB,
        seconds=3.0,
        blksize=1428,
        clients=1000,
        measure=Measure.MEMORY,
        rounds_max=1,
        target=Target(value_max=100.0),
    ),
    Scenario(
        key="calls100",
        title="system calls, 100 lock-step clients",
        file="loader",
        size=256 * KIB,
        seconds=6.0,
        blksize=1428,
        clients=100,
        repeat=False,
        measure=Measure.CALLS,
        rounds_max=1,
        target=Target(value_max=0.5),
    ),
    Scenario(
        key="calls-window64",
        title="system calls, windowsize 64, 1 client",
        file="kernel",
        size=64 * MIB,
        seconds=6.0,
        blksize=1428,
        windowsize=64,
        repeat=False,
        window_required=True,
        measure=Measure.CALLS,
        rounds_max=1,
    ),
)


def scenario_named(key: str) -> Scenario:
    """Return a scenario by its key; `KeyError` if there is none."""
    return {scenario.key: scenario for scenario in SCENARIOS}[key]
