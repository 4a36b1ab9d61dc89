"""The guard in its server: what it says at the start, and transfers that outstay their time."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
import pytest
import trio
from trio.testing import MockClock

from snowowl.config import AccessConfig, Config, LimitsConfig
from snowowl.datagram.system import SystemNetwork
from snowowl.observe.events import AccessNarrowed
from snowowl.protocol.outcome import OutcomeKind
from snowowl.server import guarding
from snowowl.server.guarding import LOOK_SECONDS_MAX
from snowowl.server.registry import Admitted, Registry
from snowowl.testing.playbook import ack, data, error
from snowowl.wire.codec import opcode_of
from snowowl.wire.constants import Opcode
from tests.server.test_guard import begun, guard_of, peer
from tests.server.world import SERVER, World, rrq, wrq


@pytest.mark.parametrize("request_", [rrq("file"), wrq("up")])
async def test_a_transfer_that_takes_too_long_is_told_so(
    world: World, clock: MockClock, request_: bytes
) -> None:
    """Even if its client acknowledges all the time."""
    world.file("file", bytes(512 * 2000))
    limits = LimitsConfig(transfer_seconds_max=300.0)
    async with world.serving(world.config(limits=limits)):
        board = world.board()
        start = trio.current_time()
        packet, tid = await board.ask(request_)
        for number in range(1, 1000):
            answer = ack(number) if packet[1] == Opcode.DATA else data(number, bytes(512))
            await trio.sleep(3.0)
            while (heard := await board.receive(0.01))[0]:
                packet, tid = heard
            if opcode_of(packet) == Opcode.ERROR:
                break
            board.send(answer, tid)
        assert packet == error(0, "the transfer took too long (limits.transfer_seconds_max)")
        assert 300 <= trio.current_time() - start <= 300 + 4
    assert world.outcomes() == [OutcomeKind.TIMED_OUT]
    assert not (world.root / "up").exists()


async def test_a_limit_of_time_that_is_lowered_holds_within_a_minute(clock: MockClock) -> None:
    guard, registry = guard_of(LimitsConfig()), Registry()
    admitted = begun(guard, peer(1), trio.current_time())
    assert admitted is not None
    registry.add(admitted)
    delivered: list[float] = []
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                Admitted, "deliver", lambda self, event: delivered.append(trio.current_time())
            )
            nursery.start_soon(guarding.end_overdue, registry, guard)
            await trio.sleep(100)
            guard.configure(Config(limits=LimitsConfig(transfer_seconds_max=101.0)))
            await trio.sleep(LOOK_SECONDS_MAX + 1)
        nursery.cancel_scope.cancel()
    assert delivered
    assert 101 <= delivered[0] - start <= 100 + LOOK_SECONDS_MAX


async def test_a_public_address_is_narrowed_and_it_is_said(world: World, clock: MockClock) -> None:
    world.file("file", b"x")
    listen = ("8.8.4.4:69", f"{SERVER}:69", "[2a00::7]:69")
    async with world.serving(world.config(listen=listen)):
        far = world.board(host="1.1.1.1", server="8.8.4.4")
        assert (await far.ask(rrq("file")))[0] == error(2, "denied")
        assert (await world.board(server="8.8.4.4").ask(rrq("file")))[0] == data(1, b"x")
        home = world.board(2001, host="1.1.1.1", server=SERVER)
        assert (await home.ask(rrq("file")))[0] == data(1, b"x")
    assert world.told(AccessNarrowed) == [AccessNarrowed(("8.8.4.4", "2a00::7"))]


async def test_nothing_is_narrowed_where_something_is_allowed(
    world: World, clock: MockClock
) -> None:
    config = world.config(listen=("8.8.4.4:69",), access=AccessConfig(allow=("0.0.0.0/0",)))
    world.file("file", b"x")
    async with world.serving(config):
        far = world.board(host="1.1.1.1", server="8.8.4.4")
        assert (await far.ask(rrq("file")))[0] == data(1, b"x")
    assert not world.told(AccessNarrowed)


async def test_what_a_reload_narrows_is_said(world: World, clock: MockClock) -> None:
    narrow = world.config(listen=("8.8.4.4:69",))
    wide = attrs.evolve(narrow, access=AccessConfig(allow=("0.0.0.0/0",)))
    async with world.serving(wide):
        for config, told in ((wide, 0), (narrow, 1), (narrow, 1), (wide, 1), (narrow, 2)):
            await world.reload(config)
            assert len(world.told(AccessNarrowed)) == told


@pytest.mark.parametrize(
    ("listen", "narrowed"),
    [("*:69", ("8.8.4.4", "2a00::7")), ("0.0.0.0:69", ("8.8.4.4",)), ("[::]:69", ("2a00::7",))],
)
async def test_a_wildcard_stands_for_the_addresses_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, clock: MockClock, listen: str, narrowed: tuple[str, ...]
) -> None:
    addresses = ("127.0.0.1", "8.8.4.4", "::1", "2a00::7")
    packed = tuple(ip_address(host).packed for host in addresses)
    monkeypatch.setattr(guarding, "machine_addresses", lambda: packed)
    config = Config(server=attrs.evolve(Config().server, listen=(listen,)))
    found = tuple(guarding._public_addresses(config, SystemNetwork()))
    assert found == narrowed
