"""The test kit: for snowowl's own tests, and for people who build boot loaders, clients and servers.

A TFTP server in a test:

| what | for |
|---|---|
| `serving` | a context manager: serve these files, assert what was asked for, wait until it was |
| `Server`, `Transfer`, `ServerFailedError` | what it gives, what that records, and how its own end is told |
| `snowowl.testing.plugin` | the same as fixtures of pytest, there wherever snowowl is installed |

Input for other people's programs:

| what | for |
|---|---|
| `snowowl.testing.strategies` | packets, near misses, names and conversations for Hypothesis (`snowowl[fuzz]`) |
| `Probe`, `Heard` | a client that is played by hand, datagram by datagram, on any network |

The stage for programs that embed snowowl:

| what | for |
|---|---|
| `SimNetwork`, `SimEndpoint`, `Link`, `Datagram` | a network in memory that loses, doubles and delays as a seed decides, under Trio's `MockClock` |
| `Playbook` | a language for stories about the protocol core (`snowowl.protocol`) |

`examples/test_kit` has a whole test module for a board, one for a decoder, and one for a server.
Only `strategies` needs Hypothesis, only `plugin` needs pytest.  Public names are imported when they
are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowowl.testing import strategies
    from snowowl.testing.link import Datagram, Link
    from snowowl.testing.playbook import Playbook
    from snowowl.testing.probe import Heard, Probe
    from snowowl.testing.simnetwork import SimEndpoint, SimNetwork
    from snowowl.testing.testserver import Server, ServerFailedError, Transfer, serving

__all__ = [
    "Datagram",
    "Heard",
    "Link",
    "Playbook",
    "Probe",
    "Server",
    "ServerFailedError",
    "SimEndpoint",
    "SimNetwork",
    "Transfer",
    "serving",
    "strategies",
]

_HOMES = {
    "Datagram": "link",
    "Heard": "probe",
    "Link": "link",
    "Playbook": "playbook",
    "Probe": "probe",
    "Server": "testserver",
    "ServerFailedError": "testserver",
    "SimEndpoint": "simnetwork",
    "SimNetwork": "simnetwork",
    "Transfer": "testserver",
    "serving": "testserver",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: the plugin is loaded by all who run pytest."""
        if name == "strategies":
            return import_module("snowowl.testing.strategies")
        if name not in _HOMES:
            raise AttributeError(f"module 'snowowl.testing' has no attribute {name!r}")
        return getattr(import_module(f"snowowl.testing.{_HOMES[name]}"), name)
