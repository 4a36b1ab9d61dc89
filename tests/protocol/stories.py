"""Transfers brought to a state, for tests that begin there."""

from __future__ import annotations

from snowowl.protocol.events import ContentCommitted, DatagramsReceived
from snowowl.protocol.initiate import ReadInitiator, WriteInitiator
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.read import ReadTransfer
from snowowl.protocol.receiving import Receiving
from snowowl.protocol.retransmit import RetransmitPolicy
from snowowl.protocol.sending import Sending
from snowowl.protocol.transfer import Transfer
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import ack, data
from snowowl.wire.packets import Mode, Options, ReadRequest, WriteRequest

POLICY = Policy()
RETRANSMIT = RetransmitPolicy()


def opts(**values: int) -> Options:
    """Return options as in a packet."""
    return tuple((name.encode(), b"%d" % value) for name, value in values.items())


def reading(size: int, policy: Policy = POLICY, /, **options: int) -> ReadTransfer:
    """Return a server's side of an RRQ for a file of that size."""
    return ReadTransfer(ReadRequest(b"f", Mode.OCTET, opts(**options)), policy, size)


def writing(policy: Policy = POLICY, /, **options: int) -> WriteTransfer:
    """Return a server's side of a WRQ."""
    return WriteTransfer(WriteRequest(b"f", Mode.OCTET, opts(**options)), policy)


def getting(policy: RetransmitPolicy = RETRANSMIT, /, **options: int) -> ReadInitiator:
    """Return a client's side of an RRQ."""
    return ReadInitiator(ReadRequest(b"f", Mode.OCTET, opts(**options)), policy)


def putting(size: int, policy: RetransmitPolicy = RETRANSMIT, /, **options: int) -> WriteInitiator:
    """Return a client's side of a WRQ for a file of that size."""
    return WriteInitiator(WriteRequest(b"f", Mode.OCTET, opts(**options)), policy, size)


def feed(transfer: Transfer, *datagrams: bytes, now: float = 0.0) -> None:
    """Let datagrams come in, whatever the transfer does about them."""
    for datagram in datagrams:
        transfer.handle(DatagramsReceived(datagram, len(datagram), now))


def committing(policy: Policy = POLICY, /, **options: int) -> WriteTransfer:
    """Return an upload of which all is there and nothing is on disk."""
    transfer = writing(policy, **options)
    transfer.start(0.0)
    feed(transfer, data(1, b"all"))
    return transfer


def dallying(policy: Policy = POLICY, /, **options: int) -> WriteTransfer:
    """Return an upload that is on disk, and whose last ACK was sent."""
    transfer = committing(policy, **options)
    transfer.handle(ContentCommitted(0.0))
    return transfer


def sending_window(size: int, windowsize: int, blksize: int = 8) -> ReadTransfer:
    """Return a server's side of an RRQ that has sent its first window."""
    transfer = reading(size, blksize=blksize, windowsize=windowsize)
    transfer.start(0.0)
    feed(transfer, ack(0))
    return transfer


def sent_up_to(transfer: Sending, index: int) -> None:
    """Have blocks up to an index acknowledged, without the time that it takes to send them."""
    transfer.window.base = transfer.window.next = index + 1


def received_up_to(transfer: Receiving, index: int) -> None:
    """Have blocks up to an index received, without the time that it takes to receive them."""
    transfer.window.acked = index
    transfer.window.expected = index + 1
