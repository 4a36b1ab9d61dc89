"""A hostile TFTP server: it plays named faults, and says how the client took them.

The mirror of a conformance suite for servers: to test boot loaders, TFTP clients and the programs that
use them.  `snowowl faults --list` shows what it can play; in a test:

    async with faulty_server({"vmlinuz": octets}, fault="lost-data:block=2") as server:
        ...  # fetch server.url("vmlinuz") with the client under test
    (transfer,) = server.transfers
    assert transfer.verdict is Verdict.RECOVERED, transfer.why

Without Trio: `with faulty_server_thread(...)`.  No client is known here, and nothing is guessed of one:
a verdict comes from the datagrams alone (`conduct`), against what the RFCs want (`catalog`).
"""

from snowowl.testing.faults.api import (
    FaultyServer,
    FaultyServerThread,
    faulty_server,
    faulty_server_thread,
)
from snowowl.testing.faults.catalog import FAULTS, FaultError, Spec, every_fault, parse_fault
from snowowl.testing.faults.verdict import Judged, Verdict

__all__ = [
    "FAULTS",
    "FaultError",
    "FaultyServer",
    "FaultyServerThread",
    "Judged",
    "Spec",
    "Verdict",
    "every_fault",
    "faulty_server",
    "faulty_server_thread",
    "parse_fault",
]
