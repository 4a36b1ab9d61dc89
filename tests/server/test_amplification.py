"""What a forged address is sent, kind by kind: the table of `tests.attacks.amplification`, played."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl.config import Config
from tests.attacks.amplification import FILE, FILE_OCTETS, KINDS, Kind, Measured, config_for, rrq
from tests.server.world import Tid, World

SECONDS = 400.0
"""Longer than anything that is sent again to nobody; with a timeout of 1 s it is 7 s."""


@pytest.mark.parametrize("tid", get_args(Tid))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_no_kind_of_datagram_makes_an_amplifier(
    world: World, clock: MockClock, kind: Kind, tid: Tid
) -> None:
    (world.root / FILE).parent.mkdir()
    world.file(FILE, bytes(FILE_OCTETS))
    config = config_for(kind.when, world.root)
    if kind.when == "others":  # the victim is not among those that are served
        victim = world.board(7, host="192.168.7.9")
    else:
        victim = world.board(7, host="192.0.2.77")
    async with world.serving(_with_tid(config, tid)):
        opener = world.board()
        _, transfer = await opener.ask(rrq())
        for octets in kind.datagrams:
            victim.send(octets, transfer if kind.to_transfer else None)
            await trio.sleep(0.0005)
        await trio.sleep(SECONDS)
        result = Measured(kind, world.sent_by_server(victim.endpoint.address))
        # On the listening port a stray is dropped silently, also where transfers have it.
        silent = tid == "listen" and kind.to_transfer
        assert bool(result.came) is (kind.datagrams_max > 0 and not silent)
    result.check()


def _with_tid(config: Config, tid: Tid) -> Config:
    return attrs.evolve(config, server=attrs.evolve(config.server, tid=tid))


def test_the_kinds_have_names_of_their_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
