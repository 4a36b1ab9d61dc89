"""snowowl: a TFTP and netboot server on Trio, with the client and the library.

``addresses = await nursery.start(snowowl.serve, snowowl.Config())`` runs a server inside any Trio
program; `get` and `put` are the client.

PYTEST_DONT_REWRITE: it has a pytest plugin, and so pytest would warn where this is imported first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowowl.client import ClientError, ClientOptions, Received, Sent, get, put
    from snowowl.config import Config, ConfigError, load_config
    from snowowl.server.errors import ListenError, RootError
    from snowowl.server.serve import serve

__version__ = "0.1.0"

__all__ = [
    "ClientError",
    "ClientOptions",
    "Config",
    "ConfigError",
    "ListenError",
    "Received",
    "RootError",
    "Sent",
    "__version__",
    "get",
    "load_config",
    "put",
    "serve",
]

_HOMES = {
    "ClientError": "client",
    "ClientOptions": "client",
    "Config": "config",
    "ConfigError": "config",
    "ListenError": "server.errors",
    "Received": "client",
    "RootError": "server.errors",
    "Sent": "client",
    "get": "client",
    "load_config": "config",
    "put": "client",
    "serve": "server.serve",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: `snowowl --help` needs none (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module 'snowowl' has no attribute {name!r}")
        return getattr(import_module(f"snowowl.{_HOMES[name]}"), name)
