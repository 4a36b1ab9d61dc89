"""What is told of where metrics and the audit stream are told: whether clients or others can read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.config import AuditConfig, Config, MetricsConfig, ServerConfig
from snowowl.config.model import NamesConfig


@pytest.mark.parametrize(
    ("listen", "warned"),
    [
        (None, False),
        ("127.0.0.1:9169", False),
        ("127.9.9.9:1", False),
        ("[::1]:9169", False),
        ("unix:/run/snowowl.sock", False),
        ("*:9169", True),
        ("0.0.0.0:9169", True),
        ("[::]:9169", True),
        ("192.0.2.1:9169", True),
        ("[fe80::1%eth0]:9169", True),
    ],
)
def test_metrics_that_everybody_can_read(listen: str | None, warned: bool) -> None:
    warnings = Config(metrics=MetricsConfig(listen=listen)).warnings()
    assert [text.startswith("metrics.listen: everybody who can reach") for text in warnings] == (
        [True] if warned else []
    )


@pytest.mark.parametrize(
    ("root", "file", "hidden", "warned"),
    [
        ("/srv/tftp", None, False, False),
        ("/srv/tftp", "/var/log/audit.jsonl", False, False),
        ("/srv/tftp", "/srv/tftp2/audit.jsonl", False, False),
        ("/srv/tftp", "/srv/tftp/../audit.jsonl", False, False),
        ("/srv/tftp", "/srv/tftp/audit.jsonl", False, True),
        ("/srv/tftp", "/srv/tftp/log/audit.jsonl", False, True),
        ("/srv/tftp", "/srv/tftp/.log/audit.jsonl", False, False),
        ("/srv/tftp", "/srv/tftp/.log/audit.jsonl", True, True),
        (".", "audit.jsonl", False, True),
    ],
)
def test_an_audit_stream_that_clients_can_fetch(
    root: str, file: str | None, *, hidden: bool, warned: bool
) -> None:
    config = Config(
        server=ServerConfig(root=Path(root)),
        names=NamesConfig(hidden=hidden),
        audit=AuditConfig(file=None if file is None else Path(file)),
    )
    warnings = config.warnings()
    assert [text.startswith("audit.file: lies beneath server.root") for text in warnings] == (
        [True] if warned else []
    )
