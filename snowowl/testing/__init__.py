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

Judges of other people's servers and clients:

| what | for |
|---|---|
| `snowowl.testing.conformance` | `snowowl conformance`: cases by the clauses of the RFCs, for any server |
| `snowowl.testing.fuzzing` | `snowowl fuzz`: looks for what breaks any server, and makes it small (`snowowl[fuzz]`) |
| `snowowl.testing.faults` | `snowowl faults`: a server that plays faults, for boot loaders and clients |

The stage for programs that embed snowowl:

| what | for |
|---|---|
| `simulate`, `Simulation`, `SimHost`, `Disk` | run a whole program in virtual time: machines, network and disk by one seed |
| `LeftoverError`, `HangError` | what a simulation ends with if something is left open, or nothing goes on |
| `PcapWriter` | captures for Wireshark |
| `SimNetwork`, `SimEndpoint`, `Link`, `Datagram` | a network in memory that loses, doubles and delays as a seed decides, under Trio's `MockClock` |
| `Playbook` | a language for stories about the protocol core (`snowowl.protocol`) |

`examples/test_kit` has a whole test module for a board, one for a decoder, and one for a server.
`examples/simulated_lab.py` is a simulated program.
Only `strategies` and fuzzing need Hypothesis, only `plugin` needs pytest.  Public names are imported when they
are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowowl.testing import strategies
    from snowowl.testing.disk import Disk
    from snowowl.testing.link import Datagram, Link
    from snowowl.testing.pcap import PcapWriter
    from snowowl.testing.playbook import Playbook
    from snowowl.testing.probe import Heard, Probe
    from snowowl.testing.simendpoint import SimEndpoint
    from snowowl.testing.simhost import SimHost
    from snowowl.testing.simnetwork import SimNetwork
    from snowowl.testing.simulation import HangError, LeftoverError, Simulation, simulate
    from snowowl.testing.testserver import Server, ServerFailedError, Transfer, serving

__all__ = [
    "Datagram",
    "Disk",
    "HangError",
    "Heard",
    "LeftoverError",
    "Link",
    "PcapWriter",
    "Playbook",
    "Probe",
    "Server",
    "ServerFailedError",
    "SimEndpoint",
    "SimHost",
    "SimNetwork",
    "Simulation",
    "Transfer",
    "serving",
    "simulate",
    "strategies",
]

_HOMES = {
    "Datagram": "link",
    "Disk": "disk",
    "HangError": "simulation",
    "Heard": "probe",
    "LeftoverError": "simulation",
    "Link": "link",
    "PcapWriter": "pcap",
    "Playbook": "playbook",
    "Probe": "probe",
    "Server": "testserver",
    "ServerFailedError": "testserver",
    "SimEndpoint": "simendpoint",
    "SimHost": "simhost",
    "SimNetwork": "simnetwork",
    "Simulation": "simulation",
    "Transfer": "testserver",
    "serving": "testserver",
    "simulate": "simulation",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: the plugin is loaded by all who run pytest."""
        if name == "strategies":
            return import_module("snowowl.testing.strategies")
        if name not in _HOMES:
            raise AttributeError(f"module 'snowowl.testing' has no attribute {name!r}")
        return getattr(import_module(f"snowowl.testing.{_HOMES[name]}"), name)
