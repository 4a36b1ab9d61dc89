"""The configuration: what can be set, its defaults and its limits, each said once.

The JSON Schema, the commented default file, the checks of the loader and the messages are all made
from these classes.  No reading of files or TOML may be here, and no import that would make
`import snowowl` slow.  The classes themselves check nothing: `snowowl.config.override(config, ())`
checks one that was put together by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import attrs

from snowowl.config.constraints import Check, Items, Range, check_text
from snowowl.config.keys import Conflict, changed, doc
from snowowl.config.limits import AccessConfig, LimitsConfig
from snowowl.config.listen import ListenAddress, parse_listen
from snowowl.config.outputs import AuditConfig, LogConfig, MetricsConfig
from snowowl.config.performance import PerformanceConfig
from snowowl.config.write import WriteConfig

Address = Annotated[str, Check(parse_listen)]
UserName = Annotated[str, Check(check_text)]
Port = Annotated[int, Range(1, 65535)]
Workers = Annotated[int, Range(1, 256)] | Literal["auto"]
OptionName = Literal["blksize", "timeout", "tsize", "windowsize", "rollover"]

BLKSIZE_DEFAULT = 512  # RFC 1350 section 2: what a block is if nobody asks


@attrs.frozen(kw_only=True)
class ServerConfig:
    """The `[server]` table."""

    root: Path = attrs.field(
        default=Path(),
        metadata=doc(
            "The folder that is served. A relative path in a file is relative to that file's"
            " folder. Not set: the folder that the server was started in.",
        ),
    )
    listen: Annotated[tuple[Address, ...], Items(1)] = attrs.field(
        default=("*:69",),
        metadata=doc(
            'Addresses to listen on: "ADDR:PORT", "[v6]:PORT", or "*:PORT" for every IPv4 and IPv6'
            " address. Literal addresses only; port 0 lets the kernel choose.",
        ),
    )
    tid: Literal["shared", "own", "listen"] = attrs.field(
        default="shared",
        metadata=doc(
            'The port that answers come from. "shared": a few random ports, many transfers each'
            " (fast), once a client has answered within the hour; before, a port of its own, so that"
            ' nobody can forge its ACKs. "own": a port for each transfer (RFC 1350 to the letter).'
            ' "listen": the'
            " listening port (for NAT, containers and Kubernetes).",
        ),
    )
    port_range: tuple[Port, Port] | None = attrs.field(
        default=None,
        metadata=doc(
            "The first and the last port that answers may come from, for firewalls. Not set: the"
            " kernel chooses.",
            example="[49152, 50175]",
        ),
    )
    workers: Workers = attrs.field(
        default=1,
        metadata=doc(
            "How many processes `snowowl serve` starts to share the load; each holds its own share of"
            ' the limits of all clients together, and those of one client whole. "auto": one for each'
            " CPU that the server may use. More than one only pays when one CPU is not enough, and needs"
            " Linux. A program that embeds the"
            " server has it in its own process.",
        ),
    )
    drain_seconds: Annotated[float, Range(0, 3600)] = attrs.field(
        default=10.0,
        metadata=doc(
            "How long running transfers may go on after the server was told to stop.",
        ),
    )
    user: UserName = attrs.field(
        default="nobody",
        metadata=doc(
            "The user that `snowowl serve` becomes, for good, once its ports are bound, if it was"
            ' started as root. "root": stay root.',
        ),
    )
    group: UserName | None = attrs.field(
        default=None,
        metadata=doc(
            "The group that goes with user. Not set: the user's own.",
            example='"tftp"',
        ),
    )
    landlock: bool = attrs.field(
        default=True,
        metadata=doc(
            "Let the kernel keep the process to the root, and to the few other files that it needs"
            " (Landlock, Linux 5.13).",
        ),
    )

    def addresses(self) -> tuple[ListenAddress, ...]:
        """Return `listen` taken apart; raises ValueError if it was never checked."""
        return tuple(map(parse_listen, self.listen))

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what cannot stand together."""
        if self.port_range is not None and self.port_range[0] > self.port_range[1]:
            first, last = self.port_range
            yield Conflict(("port_range",), f"the first port, {first}, is above the last, {last}")
        if self.tid == "listen" and self.workers != 1:
            yield Conflict(
                ("workers", "tid"),
                'must be 1 while tid is "listen": the processes would share the listening port, and'
                " what follows a broadcast request could reach another process than the one that"
                " serves it",
            )
        fixed = [address for address in self.addresses() if address.port]
        for twice in sorted({str(address) for address in fixed if fixed.count(address) > 1}):
            yield Conflict(("listen",), f'"{twice}" is listed more than once')


@attrs.frozen(kw_only=True)
class ProtocolConfig:
    """The `[protocol]` table."""

    blksize_max: Annotated[int, Range(8, 65464)] = attrs.field(
        default=65464,  # RFC 2348 allows 8 to 65464
        metadata=doc(
            "The largest block, in octets, that is granted to a client that asks for it. Never more"
            " than fits in the MTU of the interface, unless mtu is set.",
        ),
    )
    mtu: Annotated[int, Range(68, 65535, zero=True)] = attrs.field(
        default=0,  # RFC 791: every link carries datagrams of 68 octets
        metadata=doc(
            "The largest IP datagram, in octets, that a block may make. 0: the MTU of the interface"
            " that the request came in on. Larger than that MTU: blocks are sent as IP fragments,"
            " which many boot ROMs cannot put together.",
        ),
    )
    windowsize_max: Annotated[int, Range(1, 65535)] = attrs.field(
        default=64,  # RFC 7440 allows 1 to 65535
        metadata=doc(
            "The most blocks that are sent before an acknowledgement, if the client asks for a"
            " window.",
        ),
    )
    rollover: Literal["0", "1", "none"] = attrs.field(
        default="0",
        metadata=doc(
            "The block number that follows 65535, unless the client asks by the rollover option."
            ' "none": refuse files of more than 65535 blocks.',
        ),
    )
    refuse_options: tuple[OptionName, ...] = attrs.field(
        default=(),
        metadata=doc(
            "Options that are never granted, for clients that ask for what they cannot do.",
        ),
    )
    timeout_initial_seconds: Annotated[float, Range(0.01, 255)] = attrs.field(
        default=1.0,  # RFC 6298 section 2.1: one second until there is a measurement
        metadata=doc(
            "How long to wait for an answer before the first round trip was measured. A timeout"
            " that the client asks for comes first.",
        ),
    )
    timeout_min_seconds: Annotated[float, Range(0.001, 255)] = attrs.field(
        default=0.2,
        metadata=doc(
            "The shortest time to wait for an answer, however quick the round trips are.",
        ),
    )
    timeout_max_seconds: Annotated[float, Range(0.01, 255)] = attrs.field(
        default=5.0,  # RFC 2349 allows 1 to 255
        metadata=doc(
            "The longest time to wait for an answer: the wait doubles with every one that is"
            " missing.",
        ),
    )
    retries: Annotated[int, Range(0, 1000)] = attrs.field(
        default=5,
        metadata=doc(
            "How often something is sent again before its transfer may be given up.",
        ),
    )
    silence_max_seconds: Annotated[float, Range(0, 3600)] = attrs.field(
        default=30.0,  # GRUB stops acknowledging while it unpacks what it has
        metadata=doc(
            "A transfer ends when its client was silent that long and the retries are used up.",
        ),
    )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what cannot stand together."""
        order = ("timeout_min_seconds", "timeout_initial_seconds", "timeout_max_seconds")
        values = (
            self.timeout_min_seconds,
            self.timeout_initial_seconds,
            self.timeout_max_seconds,
        )
        for index in (0, 1):
            if values[index] > values[index + 1]:
                yield Conflict(
                    order[index : index + 2],
                    f"{order[index]} ({values[index]}) must not be above"
                    f" {order[index + 1]} ({values[index + 1]})",
                )


@attrs.frozen(kw_only=True)
class NamesConfig:
    """The `[names]` table."""

    strip_trailing: bool = attrs.field(
        default=True,
        metadata=doc(
            "Ignore octets 0xFF, spaces and control characters after a name: some boot ROMs send"
            " them.",
        ),
    )
    backslash: bool = attrs.field(
        default=True,
        metadata=doc(
            "Read \\ in a name as /, as Windows boot loaders mean it.",
        ),
    )
    hidden: bool = attrs.field(
        default=False,
        metadata=doc(
            "Serve and take names that begin with a dot, or lie in a folder that does. A link with"
            " another name is followed all the same, wherever beneath the root it leads.",
        ),
    )


@attrs.frozen(kw_only=True)
class Config:
    """The whole configuration of a server."""

    server: ServerConfig = attrs.field(
        factory=ServerConfig,
        metadata=doc("What is served, on which addresses, and from which ports."),
    )
    protocol: ProtocolConfig = attrs.field(
        factory=ProtocolConfig,
        metadata=doc(
            "What the options of a transfer may become, and when something is sent again."
        ),
    )
    names: NamesConfig = attrs.field(
        factory=NamesConfig,
        metadata=doc("How the name in a request is read."),
    )
    write: WriteConfig = attrs.field(
        factory=WriteConfig,
        metadata=doc("Whether clients may upload, and what."),
    )
    access: AccessConfig = attrs.field(
        factory=AccessConfig,
        metadata=doc("Who is served."),
    )
    limits: LimitsConfig = attrs.field(
        factory=LimitsConfig,
        metadata=doc("What the server takes on at most, of all and of one client."),
    )
    log: LogConfig = attrs.field(
        factory=LogConfig,
        metadata=doc("What is logged, and how it looks."),
    )
    audit: AuditConfig = attrs.field(
        factory=AuditConfig,
        metadata=doc("A record of what happened, for programs."),
    )
    metrics: MetricsConfig = attrs.field(
        factory=MetricsConfig,
        metadata=doc("Counters and histograms for Prometheus."),
    )
    performance: PerformanceConfig = attrs.field(
        factory=PerformanceConfig,
        metadata=doc(
            "How the server gets to sockets and files. Every key here trades something, and the"
            " defaults suit nearly everybody: change one with a measurement at hand. What a"
            " transfer may ask for decides more: protocol.windowsize_max and protocol.blksize_max.",
        ),
    )

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what cannot stand together, with whole key paths as keys."""
        for section, part in (("server", self.server), ("protocol", self.protocol)):
            for conflict in part.conflicts():
                keys = tuple(f"{section}.{key}" for key in conflict.keys)
                yield attrs.evolve(conflict, keys=keys)

    def warnings(self) -> tuple[str, ...]:
        """Name every key that was set and has no effect, and why; nothing here is an error."""
        blksize_max = self.protocol.blksize_max
        if "blksize" in self.protocol.refuse_options:
            blksize_max = BLKSIZE_DEFAULT
        return tuple(
            f"{key}: {reason}"
            for key, reason in chain(
                self._unused(),
                self.write.unused(),
                self.access.unused(),
                self.limits.unused(writes=self.write.enabled),
                self.metrics.unused(),
                self.performance.unused(blksize_max),
            )
        )

    def _unused(self) -> Iterator[tuple[str, str]]:
        server, protocol = self.server, self.protocol
        if server.tid == "listen" and server.port_range is not None:
            yield (
                "server.port_range",
                'has no effect while server.tid is "listen": answers come from the listening port',
            )
        if self.audit.file is not None and self._serves(self.audit.file):
            reason = (
                "lies beneath server.root: clients can fetch it, and may replace it by an upload;"
                " name a file elsewhere, as in /var/log"
            )
            yield "audit.file", reason
        if server.group is not None and server.user in ("root", "0"):
            yield (
                "server.group",
                f'has no effect while server.user is "{server.user}": the server stays who it is',
            )
        set_keys = set(changed(protocol))
        longest = self.limits.transfer_seconds_max
        if "silence_max_seconds" in set_keys and protocol.silence_max_seconds > longest:
            yield (
                "protocol.silence_max_seconds",
                f"has no effect, limits.transfer_seconds_max ({longest:g}) ends a transfer before",
            )
        for option, key in (("blksize", "blksize_max"), ("windowsize", "windowsize_max")):
            if key in set_keys and option in protocol.refuse_options:
                yield (
                    f"protocol.{key}",
                    f'has no effect while protocol.refuse_options has "{option}"',
                )

    def _serves(self, file: Path) -> bool:
        """Say whether a file has a name beneath the root, by the paths alone: no link is followed."""
        root, path = (Path(os.path.abspath(each)) for each in (self.server.root, file))  # noqa: PTH100
        if not path.is_relative_to(root):
            return False
        parts = path.relative_to(root).parts
        return self.names.hidden or not any(part.startswith(".") for part in parts)
