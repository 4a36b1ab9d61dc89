"""Judges what comes in before anything is opened for it: access, and the limits of requests.

Who sent a request is not known until it is answered: its address may be forged, and then whatever is
sent goes to a victim.  So requests that are never answered are rare goods, of which each address has
a few and all together have some more (token buckets).  The first answer to a transfer gives its
tokens back, and makes its client *known* for an hour: a client that answers meets no limit here, and
a flood of forged addresses takes nothing away from it.  While there is one, a client that is not
known gets through by asking again, as every client does: a part of the bucket is kept for those who
asked a moment ago, which those who forge an address for each packet have not.  Those who forge the same
ones again and again have, and share that part: then only `access.allow` tells boards from them.

An ERROR has buckets of its own, and one that is sent instead of a transfer gives the other tokens
back; one that may not be sent does not.  All tables here are bounded, and every step takes the same
time however full they are.

What is opened is judged elsewhere: `snowowl.protocol.admission` has rule R5.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Final

from snowowl.config import Config
from snowowl.datagram.interface import LocalAddress
from snowowl.observe.events import Refusal
from snowowl.protocol.buckets import ALWAYS_FULL, Rate, Recent, SeenLately
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.server.access import Access, is_public
from snowowl.server.readings import GAVE_WAY
from snowowl.server.refusals import Refusals
from snowowl.server.registry import Admitted
from snowowl.server.sources import Source, host_of, source_key
from snowowl.wire.codec import encode_error
from snowowl.wire.constants import ErrorCode

REQUESTS_AT_ONCE: Final = 5.0
"""Seconds' worth of requests that may come at once: a lab that is switched on."""

KNOWN_AT_ONCE: Final = 10.0
"""The same for a client that has answered: by default, all the transfers that one may have."""

ERRORS_AT_ONCE: Final = 10.0
"""Boot loaders look for about ten missing files in a row (PXELINUX, GRUB), a hundred boards too."""

ALL_AT_ONCE: Final = 2.0
ALL_ERRORS_AT_ONCE: Final = 4.0
"""The same for what all share that are not known: what comes at once has to be worked off at once, and
in a flood the known clients wait for it.  2000 boards that were never seen still begin together."""

UPLOAD_TOKENS: Final = 10
"""An upload takes so many of those that all share: a file is made for it before anybody has answered,
by a thread, in about ten times as long as a read takes to begin."""

RESERVE: Final = 0.5
"""The part of the bucket of all that is kept for those who ask again."""

KNOWN_SECONDS: Final = 3600.0
KNOWN_MAX: Final = 1 << 15
"""Known addresses; half a kilobyte each.  The latest stay."""

STRANGERS_MAX: Final = 1 << 13
"""The others.  With the default rates so many come in four seconds, and in five the emptiest bucket
of one is full again."""

SEEN_CELLS: Final = 1 << 18
SEEN_SECONDS: Final = 8
"""Clients ask again after 0.1 to 5 s (CLIENTS.md); 2 MiB, once there is a flood."""

_BREAKS_OFF: Final = (ErrorCode.NOT_DEFINED, ErrorCode.OPTION_REFUSED)
"""ERRORs by which a client ends what it has asked for (rule R4).  The others are how a TFTP program
may answer a DATA that it has not asked for, and so may come from the victim of a forged request."""


class Guard:
    """What a server knows of those who ask it, and how much more it takes from them."""

    def __init__(self, config: Config, refusals: Refusals, *, unknown_is_public: bool) -> None:
        self.refusals = refusals
        self._unknown_is_public = unknown_is_public
        self._known: Recent[bytes, Source] = Recent(KNOWN_MAX // 2)
        self._strangers: Recent[bytes, Source] = Recent(STRANGERS_MAX)
        self._seen = SeenLately(SEEN_CELLS, SEEN_SECONDS, random.getrandbits(32))
        self._unanswered: OrderedDict[Admitted, None] = OrderedDict()
        self._requests_of_all = self._errors_of_all = ALWAYS_FULL
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Go by this from now on; what is known stays known."""
        limits = config.limits
        self.access = Access(config.access, unknown_is_public=self._unknown_is_public)
        self.transfers_max = limits.transfers_max
        self.client_transfers_max = limits.client_transfers_max
        self.transfer_seconds_max = limits.transfer_seconds_max
        self.unanswered_max = limits.unanswered_max
        self._requests = _rate(limits.requests_per_second, REQUESTS_AT_ONCE)
        self._requests_known = _rate(limits.requests_per_second, KNOWN_AT_ONCE)
        self._requests_total = _rate(
            limits.requests_per_second_total, ALL_AT_ONCE, UPLOAD_TOKENS / (1 - RESERVE)
        )
        self._errors = _rate(limits.errors_per_second, ERRORS_AT_ONCE)
        self._errors_total = _rate(limits.errors_per_second_total, ALL_ERRORS_AT_ONCE)

    @property
    def counts(self) -> dict[Refusal, int]:
        """What was refused since the start, by reason."""
        return self.refusals.counts

    @property
    def unanswered(self) -> int:
        """Transfers whose client has not answered yet."""
        return len(self._unanswered)

    # Before a transfer.

    def serves(self, peer: bytes, local: LocalAddress | None) -> bool:
        """Say whether a client is served; one that is not is counted."""
        if not self.access.rules and local is not None and not is_public(local.packed):
            return True  # as in nearly every lab
        if self.access.serves(host_of(peer), local):
            return True
        self.refusals.note(Refusal.NETWORK, peer)
        return False

    def take_request(self, peer: bytes, now: float, *, writes: bool = False) -> Source | None:
        """Take the tokens for a request; None, and it is counted, if there are none."""
        key = source_key(peer)
        source = self._known.get(key) or self._strangers.get(key) or Source(key)
        known = source.known_until > now
        rate = self._requests_known if known else self._requests
        after = rate.take(source.requests, now)
        if after is None or (
            not known and not self._take_of_all(source, now, _tokens(writes=writes))
        ):
            self.refusals.note(Refusal.REQUESTS, peer)
            return None
        if source.requests == ALWAYS_FULL:  # it is new; who gets no token is not worth a place
            self._strangers.put(source.key, source)
        source.requests = after
        return source

    def give_back(self, source: Source, *, writes: bool = False) -> None:
        """Give back the tokens of a request that nothing was sent for, or that was answered."""
        source.requests -= self._requests.interval
        tokens = min(source.of_all, _tokens(writes=writes))
        source.of_all -= tokens
        self._requests_of_all -= tokens * self._requests_total.interval

    def error(
        self, peer: bytes, code: int, message: str, asked_octets: int, now: float
    ) -> bytes | None:
        """Return the ERROR for what begins no transfer; None, and it is counted, after too many."""
        if not self.take_error(peer, now):
            return None
        return encode_error(code, message, asked_octets)

    def take_error(self, peer: bytes, now: float) -> bool:
        """Say whether an ERROR may be sent to a peer that has no transfer."""
        key = source_key(peer)
        source = self._known.get(key) or self._strangers.get(key) or Source(key)
        after = self._errors.take(source.errors, now)
        if after is not None and source.known_until <= now:
            of_all = self._errors_total.take(self._errors_of_all, now)
            if of_all is None:
                after = None
            else:
                self._errors_of_all = of_all
        if after is None:
            self.refusals.note(Refusal.ERRORS, peer)
            return False
        if source.requests == ALWAYS_FULL == source.errors:
            self._strangers.put(source.key, source)
        source.errors = after
        return True

    # From the first packet of a transfer to the first answer.

    def begin(self, admitted: Admitted) -> None:
        """Note that a transfer begins; the oldest that nobody has answered gives way to it."""
        self._unanswered[admitted] = None
        while len(self._unanswered) > self.unanswered_max:
            oldest, _ = self._unanswered.popitem(last=False)
            self._spend(oldest)
            self.refusals.note(Refusal.UNANSWERED, oldest.peer)
            oldest.gave_way = True
            oldest.deliver(GAVE_WAY)

    def answered(self, admitted: Admitted) -> None:
        """Note that a client has answered: it is where it says, and wants what it asked for."""
        source, now = admitted.source, admitted.since
        if self._unanswered.pop(admitted, admitted) is admitted or source is None:
            return
        for _ in range(1 + admitted.repeats):
            self.give_back(source, writes=admitted.writes)
        if source.known_until <= now:
            self._strangers.pop(source.key)
            self._known.put(source.key, source)
        source.known_until = now + KNOWN_SECONDS

    def ended(self, admitted: Admitted, outcome: Outcome, refusal: Refusal | None = None) -> None:
        """Note how a request ended; if it was answered before, only the limit that it met counts."""
        if refusal is not None:
            self.refusals.note(refusal, admitted.peer)
        if admitted not in self._unanswered:
            return
        peer_ended_it = outcome.kind in (OutcomeKind.PROBED, OutcomeKind.ABORTED)
        if peer_ended_it and outcome.code in _BREAKS_OFF:
            self.answered(admitted)
        elif admitted.member is None:
            self.withdraw(admitted)
        else:
            del self._unanswered[admitted]
            self._spend(admitted)

    def withdraw(self, admitted: Admitted) -> None:
        """Note that a request began nothing.

        Its tokens come back, unless nobody was told: the file was looked for all the same, and a flood of
        requests for files that are missing must not have any number of them looked for.
        """
        if self._unanswered.pop(admitted, admitted) is not None or admitted.source is None:
            return
        if admitted.left_alone:
            self._spend(admitted)
        else:
            self.give_back(admitted.source, writes=admitted.writes)

    def _spend(self, admitted: Admitted) -> None:
        """Note that the tokens of a request do not come back."""
        source = admitted.source
        if source is not None:
            source.of_all -= min(source.of_all, _tokens(writes=admitted.writes))

    def _take_of_all(self, source: Source, now: float, tokens: int) -> bool:
        """Take tokens of those that all clients share which are not known."""
        rate = self._requests_total
        after = rate.take(self._requests_of_all, now, tokens=tokens, reserve=RESERVE)
        if after is None and self._seen.note(source.key, now):
            after = rate.take(self._requests_of_all, now, tokens=tokens)
        if after is None:
            return False
        self._requests_of_all = after
        source.of_all += tokens
        return True


def _tokens(*, writes: bool) -> int:
    """Return how many tokens a request takes of those that all share."""
    return UPLOAD_TOKENS if writes else 1


def _rate(per_second: float, seconds_at_once: float, at_least: float = 1.0) -> Rate:
    """Return a rate; `at_least` so many at once, or who needs them would wait for ever."""
    return Rate.of(per_second, max(at_least, per_second * seconds_at_once))
