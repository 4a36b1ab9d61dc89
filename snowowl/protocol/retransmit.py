"""When to send again, and when to give up.

A `timeout` that was negotiated is obeyed as it is (RFC 2349).  Otherwise the interval follows the
measured round trip as RFC 6298 has it for TCP: smoothed round trip plus four deviations, a floor, a
ceiling, doubled on each loss, and no sample from what was sent twice (Karn's rule).  Other servers
wait a whole second or more for each lost packet, which is what makes them slow on a bad link.

The other half of Karn's rule: an interval that was doubled stays so until there is a sample.  Where
the round trip is longer than the interval, everything is sent twice, nothing gives a sample, and an
interval that fell back with each answer would be too short for ever.
"""

from __future__ import annotations

from typing import Final

import attrs

NEVER: Final = float("inf")

SAMPLE_PAUSE_SECONDS: Final = 0.01
"""Time between two samples of the round trip, at least.  RFC 6298 section 3 wants one in each round
trip; where that is shorter, the floor of the interval hides what more of them could tell."""

SENDS_UNANSWERED_MAX: Final = 6
"""Datagrams sent to a peer that has not answered once, at most.

A request may carry a forged source address: the fewer packets it can cause, the worse a weapon it
is.  An honest peer that got none of them asks again by itself.
"""


@attrs.frozen
class RetransmitPolicy:
    """Bounds for the retransmission timer, in seconds.

    `initial` holds until a round trip was measured.  A transfer is given up after `retries`
    retransmissions in a row *and* `silence_max` without progress: GRUB stops for half a minute
    while it unpacks.
    """

    initial: float = 1.0
    floor: float = 0.2  # Linux' TCP has the same: lower ones fire on clients that write to flash
    ceiling: float = 5.0
    retries: int = 5
    silence_max: float = 30.0
    retries_unanswered: int = SENDS_UNANSWERED_MAX - 1
    """Retransmissions to a peer that has not answered once, at most."""


class RetransmitTimer:
    """One transfer's timer: armed by what is sent, moved by what is answered."""

    __slots__ = (
        "_fixed",
        "_policy",
        "_rto",
        "_rttvar",
        "_sample_due",
        "_sampling",
        "_sent_at",
        "_srtt",
        "answered",
        "deadline",
        "interval",
        "progressed_at",
        "retries",
    )

    def __init__(self, policy: RetransmitPolicy) -> None:
        self._policy = policy
        self._fixed = False
        self._srtt: float | None = None
        self._rttvar = 0.0
        self._rto = policy.initial
        self.interval = policy.initial
        """Seconds from a send to its retransmission."""
        self._sampling = False
        self._sample_due = -NEVER
        self._sent_at = 0.0
        self.progressed_at = NEVER
        """When the peer last answered; before that, when something was first sent."""
        self.answered = False
        """The peer has answered at least once: it exists and wants this."""
        self.retries = 0
        """Retransmissions since the last progress."""
        self.deadline = NEVER

    @property
    def round_trip(self) -> float | None:
        """The smoothed round trip in seconds, None before the first sample."""
        return self._srtt

    def fix(self, timeout: int) -> None:
        """Obey a negotiated timeout, in seconds (RFC 2349)."""
        self._fixed = True
        self.interval = float(timeout)

    def sent(self, now: float) -> None:
        """Note that something new was sent: its answer gives a sample of the round trip."""
        if self.progressed_at == NEVER:
            self.progressed_at = now
        self._sampling = True
        self._sent_at = now
        self.deadline = now + self.interval

    def rearm(self, now: float) -> None:
        """Wait a whole interval again, for something that gives no sample.

        Either it was sent twice, and the answer could belong to either copy; or a part of a window
        has come, and how far apart two parts are says nothing about the round trip.
        """
        self._sampling = False
        self.deadline = now + self.interval

    def forgo_sample(self) -> None:
        """Note that something was sent twice for which the peer is not granted more time."""
        self._sampling = False

    def progressed(self, now: float) -> None:
        """Note that the peer answered what was sent."""
        self.answered = True
        self.progressed_at = now
        self.retries = 0
        if self._sampling:
            self._sampling = False
            if now >= self._sample_due:
                self._sample(now - self._sent_at)
                self._sample_due = now + SAMPLE_PAUSE_SECONDS

    def went_on(self, now: float) -> None:
        """Note that the peer answered and that something new was sent: the usual case, in one."""
        self.retries = 0
        self.progressed_at = now
        if now >= self._sample_due and self._sampling:
            self._sample(now - self._sent_at)
            self._sample_due = now + SAMPLE_PAUSE_SECONDS
        self._sampling = True
        self._sent_at = now
        self.deadline = now + self.interval

    def expired(self, now: float) -> bool:
        """Say whether to send again; False means that it is time to give up."""
        policy = self._policy
        if not self.answered:
            if self.retries >= min(policy.retries, policy.retries_unanswered):
                return False
        elif self.retries >= policy.retries and now - self.progressed_at >= policy.silence_max:
            return False
        self.retries += 1
        if not self._fixed:
            self.interval = min(self.interval * 2, max(policy.ceiling, self._rto))
        return True

    def stop(self) -> None:
        """Disarm: nothing is awaited from the peer."""
        self._sampling = False
        self.deadline = NEVER

    def _sample(self, round_trip: float) -> None:
        """Take a sample, as in RFC 6298 section 2."""
        if self._srtt is None:
            self._srtt = round_trip
            self._rttvar = round_trip / 2
        else:
            self._rttvar += (abs(self._srtt - round_trip) - self._rttvar) / 4
            self._srtt += (round_trip - self._srtt) / 8
        policy = self._policy
        self._rto = min(max(self._srtt + 4 * self._rttvar, policy.floor), policy.ceiling)
        if not self._fixed:
            self.interval = self._rto
