"""Networks as text."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from snowowl.config.networks import parse_network


@pytest.mark.parametrize("text", ["192.168.7.0/24", "fd00::/8", "10.0.0.1", "::1", "0.0.0.0/0"])
def test_networks_and_addresses(text: str) -> None:
    assert parse_network(text) == ip_network(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("192.168.7.1/24", "did you mean 192.168.7.0/24?"),
        ("lab.example", "must be a network like"),
        ("", "must be a network like"),
        ("10.0.0.0/33", "must be a network like"),
    ],
)
def test_what_is_none_is_told(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"^") as info:
        parse_network(text)
    assert hint in str(info.value)
