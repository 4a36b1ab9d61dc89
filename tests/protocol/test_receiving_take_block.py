"""The short way of a block against the long one: `take_block` does what `handle` would have done.

Two receivers of the same upload hear the same.  One is asked by `take_block` for each single block
that it awaits, as the server's pump does it; the other knows nothing but `handle`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snowowl.protocol.actions import Action, StoreBlocks
from snowowl.protocol.events import (
    ContentPaused,
    ContentReady,
    DatagramsReceived,
    RequestRepeated,
    TimerExpired,
)
from snowowl.protocol.negotiation import Policy
from snowowl.protocol.receiving import NO_DATA
from snowowl.protocol.write import WriteTransfer
from snowowl.testing.playbook import Playbook, data, error, stored
from tests.protocol.stories import received_up_to, writing

BLKSIZE = 8
FULL = b"12345678"


def state_of(transfer: WriteTransfer) -> tuple[object, ...]:
    window, timer = transfer.window, transfer._timer
    return (
        transfer.state,
        transfer.deadline,
        transfer.octets,
        transfer.retransmitted,
        transfer.awaited,
        (window.expected, window.acked),
        (timer.deadline, timer.due_at, timer.interval, timer.retries, timer.progressed_at),
        timer.round_trip,
    )


def upload(windowsize: int, rollover: int, behind: int) -> WriteTransfer:
    """Return an upload in which so many blocks are behind us."""
    transfer = writing(blksize=BLKSIZE, windowsize=windowsize, rollover=rollover)
    transfer.start(0.0)
    transfer.handle(DatagramsReceived(data(1, FULL), 12, 0.01))
    transfer.window.expected += behind
    transfer.window.acked = transfer.window.expected - 1
    transfer.handle(RequestRepeated(0.02))
    return transfer


def take(transfer: WriteTransfer, datagram: bytes, now: float, *, shortly: bool) -> list[Action]:
    if (
        shortly
        and len(datagram) == 4 + BLKSIZE
        and transfer.awaited == int.from_bytes(datagram[:4], "big")
    ):
        return [StoreBlocks(datagram, len(datagram), 1), *transfer.take_block(now)]
    return list(transfer.handle(DatagramsReceived(datagram, len(datagram), now)))


steps = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "next", "again", "gap", "short", "pause", "go", "time"]),
        st.floats(0.0, 0.5),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 5), st.sampled_from([0, 1]), st.sampled_from([0, 65_530]))
def test_the_short_way_is_the_long_one(
    steps: list[tuple[str, float]], windowsize: int, rollover: int, behind: int
) -> None:
    short, long = (upload(windowsize, rollover, behind) for _ in range(2))
    now = 0.1
    for step, seconds in steps:
        now += seconds
        done = []
        for transfer, shortly in ((short, True), (long, False)):
            expected = transfer.window.expected
            number = expected & 0xFFFF if rollover == 0 else (expected - 1) % 65535 + 1
            match step:
                case "next":
                    done.append(take(transfer, data(number, FULL), now, shortly=shortly))
                case "again":
                    done.append(
                        take(transfer, data((number - 1) % 65536 or 1, FULL), now, shortly=shortly)
                    )
                case "gap":
                    done.append(
                        take(transfer, data(number + 1 & 0xFFFF, FULL), now, shortly=shortly)
                    )
                case "short":
                    done.append(take(transfer, data(number, b"end"), now, shortly=shortly))
                case "pause":
                    done.append(list(transfer.handle(ContentPaused())))
                case "go":
                    done.append(list(transfer.handle(ContentReady(now))))
                case _:
                    done.append(list(transfer.handle(TimerExpired(max(now, transfer.deadline)))))
        assert done[0] == done[1]
        assert state_of(short) == state_of(long)


def test_nothing_is_awaited_but_in_the_midst_of_a_file() -> None:
    transfer = writing(blksize=BLKSIZE)
    assert transfer.awaited == NO_DATA
    transfer.start(0.0)
    assert transfer.awaited == NO_DATA
    transfer.handle(DatagramsReceived(data(1, FULL), 12, 0.01))
    assert transfer.awaited == 0x30002
    transfer.handle(ContentPaused())
    assert transfer.awaited == NO_DATA
    transfer.handle(ContentReady(0.1))
    assert transfer.awaited == 0x30002
    transfer.handle(DatagramsReceived(data(2, b"end"), 7, 0.2))
    assert transfer.awaited == NO_DATA


def test_where_numbers_do_not_roll_over_block_65536_takes_the_long_way_and_is_refused() -> None:
    transfer = writing(Policy(rollover=None), blksize=BLKSIZE)
    transfer.start(0.0)
    transfer.handle(DatagramsReceived(data(1, FULL), 12, 0.01))
    received_up_to(transfer, 65534)
    transfer.handle(ContentReady(0.02))
    assert transfer.awaited == 0x3FFFF
    transfer.take_block(0.1)
    assert transfer.awaited == NO_DATA
    transfer.handle(ContentReady(0.1))
    assert transfer.awaited == NO_DATA
    Playbook(transfer).at(0.2).receives(data(0, FULL)).sends(
        stored(FULL), error(3, "more than 65535 blocks of 8 octets")
    ).done()
