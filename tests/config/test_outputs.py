"""What is told of where metrics are told: whether others than this machine can read them."""

from __future__ import annotations

import pytest

from snowowl.config import Config, MetricsConfig


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
