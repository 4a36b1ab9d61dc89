"""The test kit: for snowowl's own tests, and for people who build boot loaders, clients and servers.

| what | for |
|---|---|
| `serving`, `Server`, `Transfer` | a TFTP server in a test: serve these files, assert what was asked for, wait for it |
| `snowowl.testing.plugin` | the same as pytest fixtures (`snowowl_server`), there when snowowl is installed |
| `snowowl.testing.strategies` | packets, near misses, names and conversations for Hypothesis; needs `snowowl[fuzz]` |
| `Playbook` | a language for stories about the protocol core (`snowowl.protocol`) |
| `SimNetwork`, `Link` | a network in memory that loses, doubles and delays as a seed decides, for Trio's `MockClock` |
| `Probe` | a client that is played by hand, datagram by datagram, on either network |

Everything may be used by programs that embed snowowl; only `strategies` needs Hypothesis, and only
`plugin` needs pytest.  Public names are imported when they are first used.
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
