"""What all uploads beneath a root may take together, and how many files may be open for it.

The counts outlive a configuration: an `Allowance` is handed from one `Store` to the next, and its
`limits` are replaced.  Nothing here blocks, but for `writing`.

A request reserves nothing, because anybody can forge one: what it announces is compared with what
there is, and is reserved with its first block, by which its client has shown that it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from snowowl.content.errors import ContentError, busy, too_large
from snowowl.wire.constants import ErrorCode

STEP: Final = 1 << 16
"""Octets that an upload reserves ahead: then it asks once for many blocks."""

TargetKey = tuple[int, int, bytes]
"""The name that is uploaded to: device and inode of its directory, and the last component."""


@attrs.frozen(kw_only=True)
class Limits:
    """The most of everything.  0: no limit."""

    uploads_max: int = 0
    open_files_max: int = 0
    quota: int = 0
    """Octets of all files that uploads may be named by."""
    free_min: int = 0
    """Octets of the file system that stay free."""
    shares: int = 1
    """Processes that serve the same root.  None knows what the others store between two counts, so
    each takes its share of the room that there was at the last one."""


@attrs.define(eq=False)
class Claim:
    """One upload's part of an allowance.  `close` gives it back."""

    _allowance: Allowance
    announced: int
    """Octets, 0 if not known."""
    answered: bool = False
    """The client has sent a block."""
    reserved: int = 0
    """Octets that the file may come to."""
    credit: int = 0
    """Octets of the file that it replaces: these need not be found."""
    held: int = 0
    """What is left of the one without the other."""
    promised: int = 0
    """Octets that an answered client has announced and not sent."""
    target: Target | None = None
    failure: ContentError | None = None
    failed: Callable[[ContentError], None] | None = None
    """Called when others leave no place for this upload."""
    closed: bool = False

    def aim(self, key: TargetKey, replaced: int) -> None:
        """Say which file this is to become, and how large the one is that it replaces, 0 if none.

        Raises ContentError (code 3) if what is announced does not fit.
        """
        self._allowance.aim(self, key, replaced)

    def grow(self, octets: int) -> int:
        """Reserve what the file has come to; return how much it may have before the next call.

        Raises ContentError (code 3).
        """
        return self._allowance.grow(self, octets)

    def refuse_space(self, free: int) -> None:
        """Raise ContentError (code 3) if what is announced does not go into the free octets."""
        self._allowance.refuse_space(free, self.announced)

    @contextmanager
    def writing(self, free: Callable[[], int], octets: int) -> Iterator[None]:
        """Write so many octets within this.  BLOCKS.  Raises ContentError (code 3) if too many."""
        with self._allowance.writing(free, octets):
            yield

    def stored(self, octets: int, *, replaces: bool) -> None:
        """Count the file, which has its name now.

        Those who want the same name fail, unless one upload `replaces` another.
        """
        self._allowance.stored(self, octets, replaces=replaces)

    def fail(self, error: ContentError) -> None:
        """Let the upload fail of what others do.  For the event loop."""
        if self.failure is None and not self.closed:
            self.failure = error
            if self.failed is not None:
                self.failed(error)

    def close(self) -> None:
        """Give back what is held.  Idempotent."""
        self._allowance.close(self)


@attrs.define
class Target:
    """A name that uploads are under way to, in the order in which they came."""

    key: TargetKey
    size: int
    """Octets that are counted for the file that has the name now."""
    claims: list[Claim] = attrs.field(factory=list)


class Allowance:
    """Counts what is taken, and refuses what is too much."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        """May be replaced at any time.  What is running keeps what it has."""
        self.uploads = 0
        self.open_files = 0
        self.used = 0
        """Octets of the files that count for the quota, as far as they are known."""
        self.held = 0
        """Octets that uploads have reserved beyond that."""
        self.promised = 0
        self._seen = 0  # `used`, when it was counted last
        self._added = 0  # octets that were stored since a count began
        self._claims: dict[Claim, None] = {}  # the oldest first
        self._targets: dict[TargetKey, Target] = {}
        self._lock = threading.Lock()  # held for a moment, never while anything may block
        self._writing = 0
        self._disk = threading.Lock()  # for threads only: held while a disk is asked for its space

    def claim(self, tsize: int | None) -> Claim:
        """Let one more upload begin.  For the event loop.  Raises ContentError if there are too many.

        The oldest whose client has not answered yet gives way: its request may be forged.  But while
        as many again are still being cleared away, nothing gives way: a flood would have them pile up.
        """
        most = self.limits.uploads_max
        if most and self.uploads >= most:
            refusal = busy("uploads_max", most)
            if self.uploads >= 2 * most:
                raise refusal
            unanswered = (one for one in self._claims if not (one.answered or one.failure))
            oldest = next(unanswered, None)
            if oldest is None:
                raise refusal
            oldest.fail(refusal)
        claim = Claim(self, tsize or 0)
        with self._lock:
            self._claims[claim] = None
        self.uploads += 1
        self.open_files += 1
        return claim

    @property
    def files_full(self) -> bool:
        """Whether no more file may be opened."""
        return 0 < self.limits.open_files_max <= self.open_files

    def is_short(self, tsize: int | None) -> bool:
        """Say whether the quota, as it is known, has no room for this upload."""
        with self._lock:
            return self._beyond_quota(max(1, tsize or 0))

    def begin_count(self) -> None:
        """Note that the files are about to be counted."""
        with self._lock:
            self._added = 0

    def counted(self, octets: int) -> None:
        """Take what was counted.  What was stored meanwhile may be in it; it is added, to be sure."""
        with self._lock:
            self.used = self._seen = octets + self._added

    def aim(self, claim: Claim, key: TargetKey, replaced: int) -> None:
        """See `Claim.aim`."""
        with self._lock:
            target = self._targets.setdefault(key, Target(key, replaced))
            target.claims.append(claim)
            claim.target = target
            self._settle(target)
            self._refuse_beyond_quota(max(1, claim.announced) - claim.credit)

    def grow(self, claim: Claim, octets: int) -> int:
        """See `Claim.grow`."""
        if claim.closed:
            return octets
        with self._lock:
            least = max(octets, claim.announced, claim.reserved)
            ahead = max(least, octets + STEP)
            if self._beyond_quota(max(0, ahead - claim.credit) - claim.held):
                ahead = least
                self._refuse_beyond_quota(max(0, ahead - claim.credit) - claim.held)
            claim.answered = True
            claim.reserved = ahead
            self._hold(claim, max(0, ahead - claim.credit), max(0, claim.announced - octets))
            return min(ahead, octets + STEP)

    def stored(self, claim: Claim, octets: int, *, replaces: bool) -> None:
        """See `Claim.stored`."""
        losers: list[Claim] = []
        with self._lock:
            self.used += octets
            self._added += octets
            if claim.target is not None:
                self.used = max(0, self.used - claim.target.size)
                claim.target.size = octets
                losers = (
                    [] if replaces else [one for one in claim.target.claims if one is not claim]
                )
            self._let_go(claim)
        for loser in losers:
            detail = "another upload of this name was whole before"
            loser.fail(ContentError(ErrorCode.FILE_EXISTS, "file already exists", detail))

    def close(self, claim: Claim) -> None:
        """See `Claim.close`."""
        if claim.closed:
            return
        claim.closed = True
        with self._lock:
            self._let_go(claim)
            del self._claims[claim]
        self.uploads -= 1
        self.open_files -= 1

    def refuse_space(self, free: int, announced: int) -> None:
        """See `Claim.refuse_space`."""
        # A promise is counted too: of ten uploads that together do not fit, five are told at once.
        left = free - self.promised - self.limits.free_min
        if left < announced:
            raise too_large(
                "free_min", f"{announced} octets are announced, the free space is {max(0, left)}"
            )

    @contextmanager
    def writing(self, free: Callable[[], int], octets: int) -> Iterator[None]:
        """See `Claim.writing`.  Writes of several threads know of each other."""
        free_min = self.limits.free_min
        if not free_min:  # the disk says itself when it is full
            yield
            return
        with self._disk:
            left = free() - self._writing - octets
            if left < free_min:
                raise too_large(
                    "free_min", f"less than write.free_min ({free_min}) would stay free"
                )
            self._writing += octets
        try:
            yield
        finally:
            with self._disk:
                self._writing -= octets

    # With the lock held.

    def _beyond_quota(self, more: int) -> bool:
        quota, seen = self.limits.quota, self._seen
        if not quota or more <= 0:
            return False
        most = quota if seen >= quota else seen + (quota - seen) // self.limits.shares
        return self.used + self.held + more > most

    def _refuse_beyond_quota(self, more: int) -> None:
        if self._beyond_quota(more):
            shared = "" if self.limits.shares == 1 else "; of the rest each worker has its share"
            raise too_large(
                "quota",
                f"write.quota is {self.limits.quota}: {self.used} octets are stored,"
                f" {self.held} reserved{shared}",
            )

    def _hold(self, claim: Claim, held: int, promised: int) -> None:
        self.held += held - claim.held
        self.promised += promised - claim.promised
        claim.held, claim.promised = held, promised

    def _settle(self, target: Target) -> None:
        """Give the credit for the file that is there to the first who may replace it."""
        for index, claim in enumerate(target.claims):
            claim.credit = 0 if index else target.size
            self._hold(claim, max(0, claim.reserved - claim.credit), claim.promised)

    def _let_go(self, claim: Claim) -> None:
        self._hold(claim, 0, 0)
        claim.reserved = 0
        target, claim.target = claim.target, None
        if target is None:
            return
        target.claims.remove(claim)
        if target.claims:
            self._settle(target)
        else:
            del self._targets[target.key]
