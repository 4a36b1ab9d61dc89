"""Networks as text: `192.168.7.0/24`, `fd00::/8`, or a single address.  No name service is asked."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from snowowl.config.words import show

Network = IPv4Network | IPv6Network


def parse_network(text: str) -> Network:
    """Return the network that a text names.  Raises ValueError with the whole message."""
    try:
        return ip_network(text.strip())
    except ValueError:
        pass
    try:
        meant = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"must be a network like 192.168.7.0/24 or fd00::/8, or an address, not {show(text)}"
        ) from None
    raise ValueError(f"{show(text)} has bits behind its prefix (did you mean {meant}?)")
