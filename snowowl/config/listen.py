"""Addresses to listen on, as text: `ADDR:PORT`, `[v6]:PORT`, `*:PORT`, `:PORT`, `unix:/PATH`.

Only literal addresses: a name would need a resolver, and could mean another address at each
start.  Nothing here may touch a socket.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

import attrs

from snowowl.config.words import quote, show

PORT_DEFAULT = 69  # RFC 1350 section 4: a request goes to port 69
_UNIX_PATH_MAX = 107  # unix(7): sun_path has 108, with the closing NUL
_SCOPE_MAX = 15  # Linux: IFNAMSIZ is 16 with the closing NUL


@attrs.frozen
class ListenAddress:
    """A literal address and a port; `str()` writes it so that `parse_listen` reads it back."""

    host: str
    """IPv4 or IPv6 address, without brackets; empty for every address of both families."""
    port: int
    """0 lets the kernel choose."""

    def __str__(self) -> str:
        if not self.host:
            return f"*:{self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress:
    """Read one address to listen on; without a port it is port 69.

    Raises ValueError, whose text shows how to write it, for anything else.
    """
    if text.startswith("["):
        host, port_text = _split_bracketed(text)
    elif text.count(":") > 1:
        raise ValueError(f"{show(text)}: an IPv6 address goes in brackets: {_bracketed(text)}")
    else:
        host, colon, port_text = text.partition(":")
        if not colon:
            port_text = str(PORT_DEFAULT)
        if host or not colon:
            host = _plain_host(host, text)
    return ListenAddress(host, _port(port_text, text))


@attrs.frozen
class UnixAddress:
    """A Unix socket; `str()` writes it so that `parse_metrics_listen` reads it back."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


def parse_metrics_listen(text: str) -> ListenAddress | UnixAddress:
    """Read where metrics are told: `ADDR:PORT`, `[v6]:PORT` or `unix:/PATH`.  Raises ValueError."""
    kind, colon, path = text.partition(":")
    if kind == "unix" and colon:
        if not path.startswith("/"):
            raise ValueError(
                f"{show(text)}: the path must be absolute, like unix:/run/snowowl.sock"
            )
        if len(path.encode(errors="surrogateescape")) > _UNIX_PATH_MAX or "\0" in path:
            raise ValueError(f"{show(text)}: a socket's path has at most {_UNIX_PATH_MAX} octets")
        return UnixAddress(path)
    if not text.rpartition(":")[2].isdecimal():
        raise ValueError(f"{show(text)} is not of the form ADDR:PORT or unix:/PATH")
    return parse_listen(text)


def _split_bracketed(text: str) -> tuple[str, str]:
    host, closing, rest = text[1:].partition("]")
    if not closing or (rest and not rest.startswith(":")):
        raise ValueError(f"{show(text)} is not of the form [v6]:PORT, like [2001:db8::1]:69")
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise ValueError(f"{show(text)}: {show(host)} is not an IPv6 address") from None
    if address.ipv4_mapped is not None:
        # An IPv6 socket that keeps to IPv6 cannot bind it (EINVAL on Linux).
        raise ValueError(f"{show(text)}: write the IPv4 address itself: {address.ipv4_mapped}:69")
    scope = address.scope_id
    if scope is not None and (len(scope) > _SCOPE_MAX or not _is_interface(scope)):
        raise ValueError(f"{show(text)}: {show(scope)} is not the name of an interface")
    return str(address), rest[1:] if rest else str(PORT_DEFAULT)


def _is_interface(scope: str) -> bool:
    return scope.isprintable() and not any(c.isspace() or c == "/" for c in scope)


def _bracketed(text: str) -> str:
    """Guess what a bare IPv6 address should have been, as an example for the message."""
    try:
        return f"[{IPv6Address(text)}]:{PORT_DEFAULT}"
    except AddressValueError:
        return f"[2001:db8::1]:{PORT_DEFAULT}"


def _plain_host(host: str, text: str) -> str:
    if host == "*":
        return ""
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        pass
    if not host:
        raise ValueError(f'{quote(text)} is empty: write "*:{PORT_DEFAULT}" for every address')
    if host.isascii() and host.isdecimal():
        raise ValueError(f'{show(text)} is a port without an address: write "*:{host[:5]}"')
    raise ValueError(
        f"{show(text)}: {show(host)} is not a literal address (names are not looked up): "
        'write ADDR:PORT, [v6]:PORT or "*:PORT"',
    )


def _port(port_text: str, text: str) -> int:
    # int() alone would take signs, underscores, spaces and digits of other scripts.
    digits = port_text.isascii() and port_text.isdecimal()
    if not digits or len(port_text) > 5 or int(port_text) > 0xFFFF:
        raise ValueError(f"{show(text)}: the port must be from 0 to 65535, not {show(port_text)}")
    return int(port_text)
