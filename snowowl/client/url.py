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
    path, semicolon, parameter = match["path"].rpartition(";mode=")
    mode = Mode.OCTET
    if semicolon:
        if parameter.lower() not in _MODES:
            raise ValueError(f"mode {parameter!r} is unknown: octet and netascii are the choices")
        mode = _MODES[parameter.lower()]
    else:
        path = match["path"]
    filename = unquote_to_bytes(path)
    if not filename or b"\0" in filename:
        raise ValueError(f"{url!r} names no file" if not filename else f"{url!r} holds a NUL")
    return Target(unquote_to_bytes(host).decode(), _port(match["port"], url), filename, mode)


def _port(text: str | None, url: str) -> int:
    if not text:
        return PORT_DEFAULT
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise ValueError(f"{url!r}: the port must be a number from 1 to 65535")
    return int(text)
