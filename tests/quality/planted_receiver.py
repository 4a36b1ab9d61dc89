"""Bugs of the receiver of DATA and of the negotiation."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from snowowl.protocol import negotiation, receiving
from snowowl.protocol.actions import NOTHING, Actions, Commit, SendPacket
from snowowl.protocol.events import DatagramsReceived
from snowowl.protocol.negotiation import Policy, Terms
from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import NEVER
from snowowl.protocol.transfer import State, Transfer, Trigger
from snowowl.protocol.window import ReceiveWindow
from snowowl.wire import options as known
from snowowl.wire.codec import Buffer, encode_ack
from snowowl.wire.constants import BLKSIZE_DEFAULT
from snowowl.wire.packets import OptionAck, Options, Request
from tests.quality.planting import Patch, bug, everywhere


@bug("RFC 1350 2", found_by="machine", usually=100)
def takes_blocks_out_of_turn(patch: Patch) -> None:
    """Whatever block of the window comes is appended to the file."""

    def is_next(self: Receiving, datagram: Buffer) -> bool:
        length = len(datagram) - 4
        if length < 0 or bytes(datagram[:2]) != b"\0\3" or length > self.terms.blksize:
            return False
        number = (datagram[2] << 8) | datagram[3]
        return self.state in (State.TRANSFERRING, State.NEGOTIATING) and (
            self.window.ahead(number) is not None
        )

    patch(Receiving, "_is_next", is_next)


@bug("RFC 1350 2", found_by="machine", usually=100)
def stores_a_block_twice(patch: Patch) -> None:
    """A block that comes again, because its ACK was lost, is appended again."""
    real = Receiving._is_next

    def is_next(self: Receiving, datagram: Buffer) -> bool:
        if len(datagram) > 4 and self.state is State.TRANSFERRING and datagram[1] == 3:
            number = (datagram[2] << 8) | datagram[3]
            if self.window.is_last(number) and self.window.acked == self.window.expected - 1:
                self.window.expected -= 1
        return real(self, datagram)

    patch(Receiving, "_is_next", is_next)


@bug("RFC 1123 4.2.3.1", found_by="receiver against the model", usually=100)
def no_dally(patch: Patch) -> None:
    """The receiver has gone once its last ACK is sent; if that is lost, nobody repeats it."""

    def committed(self: Receiving, now: float) -> Actions:
        if self.state is not State.COMMITTING:
            return NOTHING
        self._move(Trigger.COMMITTED)
        self._move(Trigger.DALLIED)
        self.outcome = Outcome(OutcomeKind.COMPLETED)
        self.deadline = NEVER
        return (SendPacket(self._ack()),)

    patch(Receiving, "_content_committed", committed)


@bug("the last ACK comes after fsync and rename", found_by="machine", usually=100)
def last_ack_before_the_commit(patch: Patch) -> None:
    """The last block is acknowledged as soon as it is in memory."""
    real = Receiving._run_ended

    def run_ended(self: Receiving, now: float) -> Actions:
        actions = real(self, now)
        if self.state is State.COMMITTING:
            return (SendPacket(self._ack()), Commit())
        return actions

    patch(Receiving, "_run_ended", run_ended)


@bug("joined datagrams do what they do one by one", found_by="joined data", usually=50)
def stride_ignored(patch: Patch) -> None:
    """Datagrams that the kernel has joined are taken for one large one."""
    real = Receiving._datagrams_received

    def received(self: Receiving, event: DatagramsReceived) -> Actions:
        return real(self, DatagramsReceived(event.data, len(event.data) or 1, event.now))

    patch(Receiving, "_datagrams_received", received)


@bug("joined datagrams do what they do one by one", found_by="joined data", usually=100)
def last_of_joined_cut(patch: Patch) -> None:
    """Of datagrams that the kernel has joined the shorter last one is left out."""
    real = Receiving._datagrams_received

    def received(self: Receiving, event: DatagramsReceived) -> Actions:
        whole = len(event.data) // (event.stride or 1) * event.stride
        data = event.data[:whole] if whole > event.stride else event.data
        return real(self, DatagramsReceived(data, event.stride, event.now))

    patch(Receiving, "_datagrams_received", received)


@bug("RFC 2348", found_by="receiver against the model", usually=200, slow=True)
def takes_blocks_too_long(patch: Patch) -> None:
    """A block longer than the blksize that was agreed is stored."""
    real = Receiving._is_next

    def is_next(self: Receiving, datagram: Buffer) -> bool:
        return real(self, datagram[: 4 + self.terms.blksize])

    patch(Receiving, "_is_next", is_next)


@bug("RFC 7440 4", found_by="receiver against the model", usually=200, slow=True)
def ack_for_every_gap(patch: Patch) -> None:
    """Every block after a gap is answered by an ACK, and each of those makes a window come again."""

    def gap_found(self: Receiving, ahead: int, now: float) -> Actions:
        return self._acknowledge(now)

    patch(Receiving, "_gap_found", gap_found)


@bug("RFC 7440 4", found_by="receiver against the model", usually=100, slow=True)
def gap_never_told(patch: Patch) -> None:
    """A gap in a window is passed over in silence, until the timer expires."""
    patch(Receiving, "_gap_found", lambda self, ahead, now: NOTHING)


@bug("RFC 7440 4", found_by="receiver against the model", usually=100)
def window_of_the_receiver_too_late(patch: Patch) -> None:
    """A full window is acknowledged one block late: sender and receiver wait for each other."""

    def filled(self: ReceiveWindow) -> bool:
        return self.expected - 1 - self.acked > self.size

    patch(ReceiveWindow, "filled", property(filled))


@bug("rule R11", found_by="receiver against the model", usually=300, slow=True)
def acks_roll_over_otherwise(patch: Patch) -> None:
    """The ACK after that of block 65535 is the one of the other rollover."""
    patch(
        receiving,
        "encode_ack",
        lambda number: encode_ack(number + 1 if number in (0, 1) else number),
    )
    real = Receiving._ack

    def ack(self: Receiving) -> bytes:
        return (
            real(self) if self.window.expected - 1 > 65535 else encode_ack(self.window.expected - 1)
        )

    patch(Receiving, "_ack", ack)


@bug("the short way is the long one", found_by="the short way of the receiver", usually=100)
def short_way_counts_no_window(patch: Patch) -> None:
    """The quick path of a block acknowledges none of them at a window's end."""
    real = Receiving.take_block

    def take_block(self: Receiving, now: float) -> Actions:
        real(self, now)
        return NOTHING

    patch(Receiving, "take_block", take_block)


# Negotiation.

_Change = Callable[[Options, Request, int | None], Options]


def _granting(patch: Patch, change: _Change) -> None:
    """Have the server's side grant otherwise."""
    real = negotiation.negotiate

    def negotiate(
        request: Request, policy: Policy, content_size: int | None
    ) -> tuple[Terms, OptionAck | None]:
        terms, _ = real(request, policy, content_size)
        granted = change(terms.granted, request, content_size)
        return attrs.evolve(terms, granted=granted), OptionAck(granted) if granted else None

    everywhere(patch, real, negotiate)


def _with(granted: Options, changed_name: bytes, value: bytes) -> Options:
    return tuple((name, value if name == changed_name else old) for name, old in granted)


@bug("RFC 2347", found_by="machine", usually=100)
def oack_with_an_unasked_option(patch: Patch) -> None:
    """The OACK tells a tsize that nobody has asked for."""
    _granting(patch, lambda granted, *_: (*granted, (b"tsize", b"17")) if granted else ())


@bug("rule R1: the order asked", found_by="machine", usually=100)
def oack_in_another_order(patch: Patch) -> None:
    """The OACK has the options in an order of its own (GRUB and EDK2 mind)."""
    _granting(patch, lambda granted, *_: tuple(sorted(granted, reverse=True)))


@bug("RFC 2349, rule R1", found_by="machine", usually=100)
def oack_with_another_timeout(patch: Patch) -> None:
    """The server grants a timeout of its own liking."""
    _granting(patch, lambda granted, *_: _with(granted, known.TIMEOUT, b"9"))


@bug("RFC 2348, rule R1", found_by="our client, our server", usually=100)
def oack_with_a_larger_blksize(patch: Patch) -> None:
    """The server grants the blksize that suits it, not one that the client has room for."""
    _granting(patch, lambda granted, *_: _with(granted, known.BLKSIZE, b"65464"))


@bug("RFC 7440 3, rule R1", found_by="our client, our server", usually=100)
def oack_with_a_larger_windowsize(patch: Patch) -> None:
    """The server grants a larger windowsize than was asked for."""
    _granting(patch, lambda granted, *_: _with(granted, known.WINDOWSIZE, b"65535"))


@bug("rule R3", found_by="our client, our server", usually=200)
def tsize_zero_sent(patch: Patch) -> None:
    """The size of an empty file is told, and curl takes it for an error."""

    def change(granted: Options, request: Request, size: int | None) -> Options:
        asked = any(name == known.TSIZE for name, _ in request.options)
        return (*granted, (known.TSIZE, b"0")) if asked and size == 0 else granted

    _granting(patch, change)


@bug("RFC 2347", found_by="any grant", usually=300)
def client_takes_any_oack(patch: Patch) -> None:
    """The client goes by whatever the server grants, asked for or not."""

    def check_grant(asked: Options, grant: OptionAck) -> Terms | str:
        values = {name: known.parse_value(name, value) for name, value in grant.options}
        return Terms(blksize=values.get(known.BLKSIZE) or BLKSIZE_DEFAULT, granted=grant.options)

    everywhere(patch, negotiation.check_grant, check_grant)


@bug("whoever pauses is asked for nothing", found_by="machine", usually=300)
def pause_ignored(patch: Patch) -> None:
    """Content that cannot keep up is not waited for: octets that are not there are sent."""
    patch(Transfer, "_content_paused", lambda self, first: NOTHING)
