"""From configuration and MTU to what a transfer is granted (rule R9)."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl import ClientOptions
from snowowl.config import Config, ProtocolConfig
from snowowl.datagram.interface import LocalAddress
from snowowl.server.policies import MTU_MAX_AGE_SECONDS, Policies
from snowowl.testing.link import Link
from snowowl.testing.playbook import oack
from snowowl.testing.simnetwork import SimNetwork
from tests.server.world import World, rrq, wrq

V4 = LocalAddress(bytes((192, 0, 2, 1)), 1)
V6 = LocalAddress(bytes((0x20, 1)) + bytes(14), 1)


def policies(network: SimNetwork, clock: list[float], **protocol: int) -> Policies:
    config = Config(protocol=ProtocolConfig(**protocol))  # type: ignore[arg-type]
    return Policies(config, network, lambda: clock[0])


@pytest.mark.rule("R9")
@pytest.mark.parametrize(
    ("mtu", "local", "blksize"),
    [(1500, V4, 1468), (1500, V6, 1448), (9000, V4, 8968), (9000, V6, 8948), (576, V4, 544)],
)
def test_blksize_fits_the_mtu(mtu: int, local: LocalAddress, blksize: int) -> None:
    network = SimNetwork(link=Link(mtu=mtu))
    assert policies(network, [0.0]).for_local(local).blksize_max == blksize


@pytest.mark.rule("R9")
def test_blksize_is_legal_for_any_mtu_and_capped_by_configuration() -> None:
    tiny, loopback = SimNetwork(link=Link(mtu=20)), SimNetwork(link=Link(mtu=65536))
    assert policies(tiny, [0.0]).for_local(V4).blksize_max == 8
    assert policies(loopback, [0.0]).for_local(V4).blksize_max == 65464
    assert policies(loopback, [0.0], blksize_max=1024).for_local(V6).blksize_max == 1024
    assert policies(tiny, [0.0], mtu=9000).for_local(V4).blksize_max == 8968


def test_an_address_that_is_not_known_counts_as_ipv4() -> None:
    assert policies(SimNetwork(), [0.0]).for_local(None).blksize_max == 1468


def test_an_mtu_that_changes_is_noticed_after_a_while() -> None:
    network, clock = SimNetwork(), [0.0]
    made = policies(network, clock)
    first = made.for_local(V4)
    network.link = Link(mtu=9000)
    clock[0] = MTU_MAX_AGE_SECONDS - 0.1
    assert made.for_local(V4) is first
    clock[0] = MTU_MAX_AGE_SECONDS
    assert made.for_local(V4).blksize_max == 8968


def test_every_key_of_the_protocol_table_has_its_effect() -> None:
    config = ProtocolConfig(
        windowsize_max=3,
        rollover="none",
        refuse_options=("tsize",),
        timeout_initial_seconds=0.5,
        timeout_min_seconds=0.25,
        timeout_max_seconds=2.0,
        retries=7,
        silence_max_seconds=9.0,
    )
    policy = Policies(Config(protocol=config), SimNetwork(), lambda: 0.0).for_local(V4)
    assert (policy.windowsize_max, policy.rollover) == (3, None)
    assert policy.refused_options == {b"tsize"}
    timer = policy.retransmit
    assert (timer.initial, timer.floor, timer.ceiling) == (0.5, 0.25, 2.0)
    assert (timer.retries, timer.silence_max) == (7, 9.0)
    assert (
        Policies(Config(protocol=ProtocolConfig(rollover="1")), SimNetwork(), lambda: 0.0)
        .for_local(V4)
        .rollover
        == 1
    )


@pytest.mark.rule("R9")
@pytest.mark.parametrize(("host", "blksize"), [("192.0.2.9", 1468), ("2001:db8::9", 1448)])
async def test_a_transfer_is_never_fragmented_unless_told(
    world: World, clock: MockClock, host: str, blksize: int
) -> None:
    octets = world.file("file", bytes(20_000))
    async with world.serving():
        board = world.board(host=host)
        request = rrq("file", blksize=65464)
        assert (await board.ask(request))[0] == oack(blksize=blksize)
        assert (await world.board(2001, host=host).ask(wrq("up", blksize=9000)))[0] == oack(
            blksize=blksize
        )
        server = "2001:db8::1" if ":" in host else "192.0.2.1"
        assert await world.get("file", ClientOptions(blksize=65464), host=server) == octets
    assert all(datagram.arrivals for datagram in world.network.datagrams)


@pytest.mark.rule("R9")
async def test_an_mtu_that_is_set_by_hand_is_taken_as_it_is(world: World, clock: MockClock) -> None:
    octets = world.file("file", bytes(20_000))
    world.network.link = Link(fragments=True)
    async with world.serving(world.config(protocol=ProtocolConfig(mtu=65535))):
        got = await world.get("file", ClientOptions(blksize=8192))
    assert got == octets
    assert max(len(datagram.octets) for datagram in world.network.datagrams) == 8196
