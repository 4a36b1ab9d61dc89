"""Options drawn at random: each server grants what its rules say."""

from __future__ import annotations

import os

import pytest

from snowowl.datagram.system import SystemNetwork
from tests.differential import sampled
from tests.differential.play import play_all
from tests.differential.run import standing_all
from tests.differential.stage import PEERS, is_installed
from tests.peers.workspace import default_folder


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="servers are started as nobody: root"
)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_server_grants_what_its_rules_say(seed: int) -> None:
    drawn = sampled.samples(seed, 150)
    network = SystemNetwork()
    peers = [name for name in PEERS if is_installed(name)]
    async with standing_all(network, peers, default_folder("differential-sampled")) as (stands, _):
        observed = await play_all(network, [each.case for each in drawn], stands)
    odd = [
        f"{server}: {each.case.about}: {answer}, not {expected}"
        for each in drawn
        for server, answer in observed[each.case.name].items()
        if answer != (expected := sampled.PREDICTIONS[server](each.asked))
    ]
    assert not odd, "\n".join(odd)
    assert len(stands) == 1 + len(peers)


def test_samples_are_the_same_for_a_seed_and_hold_every_option() -> None:
    one, same, other = (sampled.samples(seed, 200) for seed in (7, 7, 8))
    assert [each.asked for each in one] == [each.asked for each in same]
    assert [each.asked for each in one] != [each.asked for each in other]
    names = {name for each in one for name, _ in each.asked}
    assert names == {"blksize", "timeout", "tsize", "windowsize", "rollover", "frobnicate"}
