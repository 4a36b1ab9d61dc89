"""Events as entries of the systemd journal: which fields, and which MESSAGE_ID.

Each kind of event has an ID of its own, for ``journalctl MESSAGE_ID=...``; all entries have
``SYSLOG_IDENTIFIER=snowowl``, and what the other forms of the log have as `client`, `file`,
`outcome` is here ``SNOWOWL_CLIENT=``, ``SNOWOWL_FILE=``, ``SNOWOWL_OUTCOME=``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from snowowl.observe.describe import Fields, Level

IDENTIFIER: Final = "snowowl"

PRIORITIES: Final[Mapping[Level, int]] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""As syslog(3) numbers them."""

MESSAGE_IDS: Final[Mapping[str, str]] = {
    "ServerStarted": "52382668e18848d68ccf227f2b02eefb",
    "PrivilegesDropped": "b4b52bf4fb70472aa9753d34e4e6b6ee",
    "Confined": "ec8c742c82694513b05746031214238f",
    "SafetyMissing": "299f273a9599420f8a18eb54d4f09397",
    "AccessNarrowed": "ab8c242dd6f34ce0bebfc3fb73ad33e1",
    "MetricsOffered": "83a9b5be2c874d5f8e4a6f2d0c7b91e6",
    "DatapathChosen": "38f1e253cba34a15a24dba0c3597c57d",
    "KeyWithoutEffect": "85ecf2353a2c4f31b09cd342dcaef8db",
    "DatapathLowered": "c248386f9726426c8753e3967ced230c",
    "DatagramsDropped": "9038087709ff458fb031cd24b494efca",
    "ServerDraining": "16f3a478776043feb0cca8ee0826092a",
    "ServerStopped": "a82246db27a84057b3472b3e7cf19fa9",
    "ServerReloaded": "b7ee6b5130324eaab8db878b209c56ec",
    "ReloadFailed": "cb4ec99b5e6b49169b849669cc49b65b",
    "WorkerStarted": "1cd260f2290742a595006772a5836d9d",
    "WorkerEnded": "3c3a29c10367434db9058acdee7db810",
    "RequestReceived": "c0e0d4ef3712499087d6e90a82c9adde",
    "RequestMalformed": "5537e076fea243258f5a6942170ea729",
    "RequestDoubled": "0a855b6f0d7f46c493ee1092853b3ba2",
    "RequestsRefused": "cfdac8d7cc0d4462908734fee1d4ae6a",
    "TraversalAttempted": "69f2cc96b5ef4850874d2f370b9dcf73",
    "TransferStarted": "4369d109d31649e49dc8dc5ab3aac49c",
    "RolloverExpected": "677331edcc69494bbbc646e3950552fc",
    "TransferFinished": "6760b41bdab345c3a3a873c5e70a3d46",
    "LinesLost": "e05dfa61cb54442a94d0cbd9687ab296",
    "InternalError": "1c18c743ee04438087c8373425fb595e",
}
"""By the kind of event.  They never change: people write them down."""

Entry = list[tuple[str, str]]


class Journal(Protocol):
    """Where entries go; see `snowowl.host.journal`."""

    dropped: int

    def send(self, fields: Entry) -> bool:
        """Send an entry; say whether it went out."""


def entry_of(level: Level, message: str, fields: Fields, kind: str) -> Entry:
    """Return the fields of an entry; `kind` is the name of the event's class, or empty."""
    entry = [
        ("MESSAGE", message),
        ("PRIORITY", str(PRIORITIES[level])),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
    ]
    if kind in MESSAGE_IDS:
        entry.append(("MESSAGE_ID", MESSAGE_IDS[kind]))
    for name, value in fields.items():
        if value != "":
            entry.append((f"SNOWOWL_{name.upper()}", str(value)))
    return entry
