"""A TFTP server for tests of what boots from it: `serving`.  For pytest see `snowowl.testing.plugin`."""

from snowowl.testing.testserver.explain import Until
from snowowl.testing.testserver.files import Content, Files, ServedFiles
from snowowl.testing.testserver.records import ServerFailedError, Transfer
from snowowl.testing.testserver.server import (
    Server,
    ServerFactory,
    Settings,
    Tid,
    serving,
    told_since,
)
from snowowl.testing.testserver.waits import TrioWaits

__all__ = [
    "Content",
    "Files",
    "ServedFiles",
    "Server",
    "ServerFactory",
    "ServerFailedError",
    "Settings",
    "Tid",
    "Transfer",
    "TrioWaits",
    "Until",
    "serving",
    "told_since",
]
