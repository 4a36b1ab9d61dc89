"""Where a case plays: the server's address, what is known of it, clients, and the evidence.

No case knows more of a server than what is here, and that was learnt from what it answers.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs
import trio

from snowowl.datagram.address import family_of
from snowowl.datagram.interface import Network
from snowowl.testing.conformance.case import WRITE, Case
from snowowl.testing.conformance.client import Client, open_client
from snowowl.testing.conformance.evidence import Evidence
from snowowl.testing.conformance.packets import Option, rrq
from snowowl.testing.conformance.verdicts import Inapplicable
from snowowl.testing.probe import Probe

MOMENT_SECONDS: Final = 0.25
"""A prompt answer has come by then, on a busy machine too."""

QUIET_SECONDS: Final = 1.0
"""The classic wait before something is sent again, which most servers have."""


@attrs.frozen(kw_only=True)
class Target:
    """What is tried."""

    address: bytes
    """The socket address that listens to requests."""
    read: bytes
    """The name of a file that can be read."""
    write: bytes | None = None
    """A name that may be written; `{}` in it is replaced by a word of each upload."""

    @property
    def writes_many(self) -> bool:
        """Say whether each upload has a name of its own."""
        return self.write is not None and b"{}" in self.write


@attrs.define
class Profile:
    """What is known of the server, from what it answered before the first case."""

    content: bytes = b""
    """The octets of the file, as they were read plainly."""
    latency: float = 0.0
    """Seconds to the slowest of the first answers."""
    retransmits_after: float | None = None
    """Seconds until it sent something again, None if it did not."""
    granted: dict[str, str] = attrs.field(factory=dict)
    """Options that it grants when each is asked for alone, and what it grants."""
    single_port: bool = False
    """It answers from the port that it listens to."""
    concurrent: bool = True
    """It begins a transfer while another one waits."""
    writable: bool = False
    overwrites: bool = False
    """A name that was written may be written again."""
    reads_back: bool = False
    """What was written can be read."""
    refusal: str = ""
    """How it refused to be written to."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        known = attrs.asdict(self, filter=lambda field, _: field.name != "content")
        return {"size": len(self.content), **known}


class Stage:
    """One case's."""

    def __init__(
        self,
        network: Network,
        target: Target,
        profile: Profile,
        case: Case | None,
        *,
        patience: float,
        word: str,
        written: list[bytes],
    ) -> None:
        self._network = network
        self.target = target
        self.profile = profile
        self.patience = patience
        """Seconds that the server may take to send something again."""
        self.evidence = Evidence(trio.current_time())
        self._case = case
        self._word = word
        self._written = written
        self._uploads = 0

    # Clients and requests.

    def client(self) -> AbstractAsyncContextManager[Client]:
        """Give a client on a port of its own."""
        probe = Probe(self._network, family_of(self.target.address))
        return open_client(self, probe)

    def rrq(self, *options: Option, mode: bytes = b"octet") -> bytes:
        """Return an RRQ of the file."""
        return rrq(self.target.read, *options, mode=mode)

    def missing_name(self) -> bytes:
        """Return the name of a file that is not there."""
        return b"snowowl-conformance-" + self._word.encode("ascii") + b"-missing"

    def upload_name(self) -> bytes:
        """Return a name to write: a new one each time, if there may be many."""
        assert self.target.write is not None, "a case that writes says so in `needs`"
        self._uploads += 1
        word = f"{self._word}-{self._uploads}".encode("ascii")
        name = self.target.write.replace(b"{}", word)
        if name not in self._written:
            self._written.append(name)
        return name

    # What is known.

    @property
    def content(self) -> bytes:
        """Return the octets of the file."""
        return self.profile.content

    @property
    def moment(self) -> float:
        """Return the seconds in which a prompt answer comes."""
        return max(MOMENT_SECONDS, 10 * self.profile.latency)

    @property
    def quiet(self) -> float:
        """Return the seconds after which a server that has not sent again will not."""
        after = self.profile.retransmits_after
        return (
            self.patience if after is None else max(QUIET_SECONDS, min(2.5 * after, self.patience))
        )

    def note(self, text: str) -> None:
        """Add a remark to the evidence."""
        self.evidence.note(trio.current_time(), text)

    def check_needs(self) -> None:
        """Raise Inapplicable if the case cannot be tried on this server with this file."""
        case, profile = self._case, self.profile
        if case is None:
            return
        for need in case.needs:
            if need != WRITE and need not in profile.granted:
                raise Inapplicable(f"the server does not grant {need}")
            if need == WRITE and self.target.write is None:
                raise Inapplicable("nothing may be written: name a file by --write")
            if need == WRITE and not profile.writable:
                raise Inapplicable(f"the server refuses to be written to: {profile.refusal}")
        size = len(profile.content)
        if size < case.size_min:
            text = f"needs a file of at least {case.size_min} octets to read, this one has {size}"
            raise Inapplicable(text)
        if (
            case.needs
            and WRITE in case.needs
            and not (profile.overwrites or self.target.writes_many)
        ):
            raise Inapplicable("what was written may not be written again: put {} into --write")
