"""The keys of `[log]`, `[audit]` and `[metrics]`: what the server tells, to whom, in which form."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import attrs

from snowowl.config.constraints import Check
from snowowl.config.keys import doc
from snowowl.config.listen import ListenAddress, parse_metrics_listen

MetricsAddress = Annotated[str, Check(parse_metrics_listen)]


@attrs.frozen(kw_only=True)
class LogConfig:
    """The `[log]` table."""

    format: Literal["console", "logfmt", "json", "journal"] = attrs.field(
        default="console",
        metadata=doc(
            'How a line of the log looks: "console" for people, "logfmt" or "json" for programs.'
            ' "journal": entries of the systemd journal with fields, where there is one.',
        ),
    )
    level: Literal["debug", "info", "warning", "error"] = attrs.field(
        default="info",
        metadata=doc(
            "The least important events that are logged.",
        ),
    )


@attrs.frozen(kw_only=True)
class AuditConfig:
    """The `[audit]` table."""

    file: Path | None = attrs.field(
        default=None,
        metadata=doc(
            "The file that the audit stream is appended to: a line of JSON for each request,"
            " transfer, refusal and change of the server. Opened anew at SIGHUP, for logrotate. A"
            " relative path in a file is relative to that file's folder. Not set: no audit stream.",
            example='"/var/log/snowowl/audit.jsonl"',
        ),
    )


@attrs.frozen(kw_only=True)
class MetricsConfig:
    """The `[metrics]` table."""

    listen: MetricsAddress | None = attrs.field(
        default=None,
        metadata=doc(
            'Where Prometheus finds the metrics, as "ADDR:PORT" or "unix:/PATH": GET /metrics.'
            " There is no password: keep it to loopback. Not set: no metrics.",
            example='"127.0.0.1:9169"',
        ),
    )

    def unused(self) -> Iterator[tuple[str, str]]:
        """Yield what was set and has not the effect that it should have, and why."""
        address = None if self.listen is None else parse_metrics_listen(self.listen)
        if isinstance(address, ListenAddress) and not _is_loopback(address.host):
            reason = (
                f"everybody who can reach {address} can read the metrics, there is no password: give"
                " a loopback address or a Unix socket, or let a firewall see to it"
            )
            yield "metrics.listen", reason


def _is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address; an empty one is every address."""
    return bool(host) and ip_address(host).is_loopback
