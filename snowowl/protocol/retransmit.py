"""When to send again, and when to give up.

A `timeout` that was negotiated is obeyed as it is (RFC 2349), once the peer has answered: to one that
may not be there, each wait is twice the one before.  Otherwise the interval follows the
measured round trip as RFC 6298 has it for TCP: smoothed round trip plus four deviations, a floor, a
ceiling, doubled on each loss, and no sample from what was sent twice (Karn's rule).  Other servers
wait a whole second or more for each lost packet, which is what makes them slow on a bad link.

The other half of Karn's rule: an interval that was doubled stays so until there is a sample.  Where
the round trip is longer than the interval, everything is sent twice, nothing gives a sample, and an
interval that fell back with each answer would be too short for ever.

Between a round trip and the floor there is room for a *probe* (RFC 8985 section 7: tail loss probe):
a datagram or two, sent again once nearly every answer would have come.  If the peer was only busy,
with writing to flash say, little is wasted; if something was lost, it saves most of the interval.
Karn's rule holds for it too.  Where a `timeout` was negotiated, or chosen, there is no probe: RFC 2349
says how long to wait before anything is sent again.
"""

from __future__ import annotations

from typing import Final

import attrs

NEVER: Final = float("inf")

SAMPLE_PAUSE_SECONDS: Final = 0.016
"""Time between two samples of the round trip, at least.  RFC 6298 section 3 wants one in each round
trip; where that is shorter, the floor of the interval hides what more of them could tell."""

SENDS_UNANSWERED_MAX: Final = 3
"""Datagrams sent for a request to a peer that has not answered once, at most.

A request may carry a forged source address: the fewer packets it can cause, the worse a weapon it
is.  An honest peer that got none of them asks again by itself, and is answered each time.
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
    """The least interval; after a probe that brought nothing, three times its wait will do."""
    ceiling: float = 5.0
    retries: int = 5
    silence_max: float = 30.0
    retries_unanswered: int = SENDS_UNANSWERED_MAX - 1
    """Retransmissions to a peer that has not answered once, at most."""
    probe_floor: float = 0.02
    """No probe comes sooner: two ticks of the slowest clock that drives a client (100 Hz); Linux' TCP
    has two ticks too.  With one packet in a hundred lost, and one ACK, a client on loopback gets 20 to
    40 MB/s in windows of 16 blocks of 1428 octets; it was 5 with the floor alone."""


class RetransmitTimer:
    """One transfer's timer: armed by what is sent, moved by what is answered."""

    __slots__ = (
        "_due_after",
        "_fixed",
        "_policy",
        "_round_trip_max",
        "_rto",
        "_rttvar",
        "_sample_due",
        "_sampling",
        "_sent_at",
        "_srtt",
        "answered",
        "deadline",
        "due_at",
        "interval",
        "progressed_at",
        "retries",
    )

    def __init__(self, policy: RetransmitPolicy) -> None:
        self._policy = policy
        self._fixed: float | None = None
        """The negotiated timeout, in seconds."""
        self._srtt: float | None = None
        self._rttvar = 0.0
        self._rto = policy.initial
        self.interval = policy.initial
        """Seconds from a send to its retransmission."""
        self._due_after = policy.initial
        """Seconds from a send to its probe, or the interval if there is to be none."""
        self._round_trip_max = NEVER
        """Seconds within which nearly every answer comes; no less than the probe's floor."""
        self._sampling = False
        self._sample_due = -NEVER
        self._sent_at = 0.0
        """When something was sent last, or when waiting began anew."""
        self.progressed_at = NEVER
        """When the peer last answered; before that, when something was first sent."""
        self.answered = False
        """The peer has answered at least once: it exists and wants this."""
        self.retries = 0
        """Retransmissions since the last progress."""
        self.deadline = NEVER
        """When to send again."""
        self.due_at = NEVER
        """When to send the probe, or again."""

    @property
    def round_trip(self) -> float | None:
        """The smoothed round trip in seconds, None before the first sample."""
        return self._srtt

    def fix(self, timeout: int) -> None:
        """Obey a negotiated timeout, in seconds (RFC 2349): nothing is sent again any sooner."""
        self._fixed = float(timeout)
        self.interval = self._due_after = self._fixed

    def sent(self, now: float) -> None:
        """Note that something new was sent: its answer gives a sample of the round trip."""
        if self.progressed_at == NEVER:
            self.progressed_at = now
        self._sampling = True
        self._sent_at = now
        self.deadline = now + self.interval
        self.due_at = now + self._due_after

    def rearm(self, now: float) -> None:
        """Wait a whole interval again, for something that gives no sample.

        Either it was sent twice, and the answer could belong to either copy; or a part of a window
        has come, and how far apart two parts are says nothing about the round trip.
        """
        self._sampling = False
        self._sent_at = now
        self.deadline = self.due_at = now + self.interval

    def probed(self, now: float) -> None:
        """Note that the probe was sent: one for each silence, twice as late until there is a sample.

        If nothing comes of it, neither did what it was to cause: so the wait for all to be sent again
        is not the whole interval any more, but as long again, twice.
        """
        self._sampling = False
        self._due_after = min(2 * self._due_after, self.interval)
        self.deadline = self.due_at = min(self.deadline, now + self._due_after)

    def forgo_sample(self) -> None:
        """Note that something was sent twice for which the peer is not granted more time."""
        self._sampling = False

    def progressed(self, now: float) -> None:
        """Note that the peer answered what was sent."""
        if not self.answered:
            self.answered = True
            if self._fixed is not None:
                self.interval = self._due_after = self._fixed
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
        self.due_at = now + self._due_after

    def is_late(self, now: float) -> bool:
        """Say whether an answer that comes now comes later than nearly all, or to what was sent again.

        Before the first sample none is late.
        """
        return self.retries > 0 or now - self._sent_at > self._round_trip_max

    def expired(self, now: float) -> bool:
        """Say whether to send again; False means that it is time to give up."""
        policy = self._policy
        if not self.answered:
            if self.retries >= min(policy.retries, policy.retries_unanswered):
                return False
        elif self.retries >= policy.retries and now - self.progressed_at >= policy.silence_max:
            return False
        self.retries += 1
        if self._fixed is not None:
            if not self.answered:
                self.interval = self._due_after = 2 * self.interval
        else:
            self.interval = min(self.interval * 2, max(policy.ceiling, self._rto))
            self._due_after = self.interval
        return True

    def stop(self) -> None:
        """Disarm: nothing is awaited from the peer."""
        self._sampling = False
        self.deadline = self.due_at = NEVER

    def excuse(self, now: float) -> None:
        """Note that the silence up to now was ours: the peer was asked for nothing since it was armed.

        What the peer had been silent before stays: where content is slow each time that a block is
        sent again, a peer that is gone must be given up all the same.
        """
        self.progressed_at = min(self.progressed_at + now - self._sent_at, now)

    def _sample(self, round_trip: float) -> None:
        """Take a sample, as in RFC 6298 section 2."""
        if self._srtt is None:
            self._srtt = round_trip
            self._rttvar = round_trip / 2
        else:
            self._rttvar += (abs(self._srtt - round_trip) - self._rttvar) / 4
            self._srtt += (round_trip - self._srtt) / 8
        policy = self._policy
        nearly_all = self._srtt + 4 * self._rttvar
        self._round_trip_max = max(nearly_all, policy.probe_floor)
        self._rto = min(max(nearly_all, policy.floor), policy.ceiling)
        if self._fixed is None:
            self.interval = self._due_after = self._rto
            if policy.floor < policy.ceiling:  # else it is a timeout that somebody has chosen
                self._due_after = min(self._round_trip_max, self._rto)
