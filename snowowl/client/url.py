"""`tftp://host[:port]/path;mode=octet` (RFC 3617)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import attrs

from snowowl.wire.packets import Mode

PORT_DEFAULT: Final = 69

_URL: Final = re.compile(
    r"(?i:tftp)://(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^/:\[\]]*))(?::(?P<port>[^/]*))?/(?P<path>.*)",
    re.DOTALL,
)
_MODE: Final = re.compile(r"(?P<path>.*);(?i:mode)=(?P<mode>.*)", re.DOTALL)
_MODES: Final = {"octet": Mode.OCTET, "netascii": Mode.NETASCII}
_FORM: Final = "tftp://HOST[:PORT]/FILE[;mode=octet|netascii]"


@attrs.frozen
class Target:
    """A file on a server."""

    host: str
    port: int
    filename: bytes
    mode: Mode

    @property
    def server(self) -> str:
        """Host and port for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_url(url: str) -> Target:
    """Return what a URL names.  Raises ValueError, in words that say what is wrong with it.

    The path is percent-decoded and begins after the slash that ends the host, so that
    ``tftp://host//name`` asks for ``/name``.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"{url!r} is not of the form {_FORM}")
    host = match["host"] if match["v6"] is None else match["v6"]
    if not host:
        raise ValueError(f"{url!r} names no host")
    path, mode = _mode(match["path"])
    filename = _unquoted(path, url)
    if not filename or b"\0" in filename:
        raise ValueError(f"{url!r} names no file" if not filename else f"{url!r} holds a NUL")
    return Target(_host(host, url), _port(match["port"], url), filename, mode)


def _mode(path: str) -> tuple[str, Mode]:
    """Take the mode from the end of a path: the first part of it that is no name any more."""
    match = _MODE.fullmatch(path)
    if match is None:
        return path, Mode.OCTET
    mode = _MODES.get(match["mode"].lower())
    if mode is None:
        raise ValueError(f"mode {match['mode']!r} is unknown: octet and netascii are the choices")
    return match["path"], mode


def _unquoted(text: str, url: str) -> bytes:
    """Percent-decode; octets of the command line that are no UTF-8 come through as they are."""
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise ValueError(f"{url!r} holds half a character") from None


def _host(text: str, url: str) -> str:
    try:
        host = _unquoted(text, url).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{url!r}: the host is no UTF-8") from None
    if not host.isprintable() or " " in host:  # the resolver raises what it likes for these
        raise ValueError(f"{url!r}: the host holds a character that no name has")
    return host


def _port(text: str | None, url: str) -> int:
    if not text:
        return PORT_DEFAULT
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdigit() and 0 < len(digits) < 6 and int(digits) < 65536):
        raise ValueError(f"{url!r}: the port must be a number from 1 to 65535")
    return int(digits)
