"""Ring 2: names, files to send, uploads to keep.  Imports nothing but ring 0 from snowowl.

A name from the network becomes components (`names`), those become a file descriptor beneath the
root (`beneath`), that becomes a `Source` of a file that all its readers share (`files`, `mapped`,
`text`, `shelf`, `store`) or a `Sink` (`uploads`, `naming`, `temporary`, `sink`).  What all of them
may take together is counted (`allowance`, `census`).  Whatever fails of that is a `ContentError`.
"""

from __future__ import annotations

from snowowl.content.allowance import Allowance, Limits
from snowowl.content.beneath import Root
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules, components, display
from snowowl.content.sink import Sink
from snowowl.content.source import BytesSource, Source, Whole
from snowowl.content.store import Store
from snowowl.content.uploads import WritePolicy

__all__ = [
    "Allowance",
    "BytesSource",
    "ContentError",
    "Limits",
    "NameRules",
    "Root",
    "Sink",
    "Source",
    "Store",
    "Whole",
    "WritePolicy",
    "components",
    "display",
]
