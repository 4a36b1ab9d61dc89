"""The ports of a load: how many, and all of them closed whatever happens."""

from __future__ import annotations

import errno
import os
import socket
import stat

import pytest

from snowowl.client import load_sockets
from snowowl.client.errors import ClientError, Reason
from snowowl.client.load_endpoint import LoadNetwork
from snowowl.client.load_options import LoadOptions
from snowowl.client.load_sockets import PORTS_MAX, open_sockets, ports_wanted
from snowowl.datagram.interface import LocalAddress
from snowowl.datagram.settings import Settings
from snowowl.testing.simnetwork import SimNetwork


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        (LoadOptions(clients=10), 10),
        (LoadOptions(clients=10, transfers=3), 3),
        (LoadOptions(clients=10, transfers=25), 25),
        (LoadOptions(clients=10, transfers=1000), 40),
        (LoadOptions(clients=10, seconds=1.0), 40),
        (LoadOptions(clients=3000, seconds=1.0), PORTS_MAX),
        (LoadOptions(clients=5000, seconds=1.0), 5000),
        (LoadOptions(clients=10, sockets=11), 11),
    ],
)
def test_how_many_ports(options: LoadOptions, ports: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_sockets, "_descriptors_max", lambda: 100_000)
    assert ports_wanted(options) == ports


def test_where_descriptors_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_sockets, "_descriptors_max", lambda: 256)
    assert ports_wanted(LoadOptions(clients=100, seconds=1.0)) == 192
    assert ports_wanted(LoadOptions(clients=250, seconds=1.0)) == 250  # opening them says it


def test_the_limit_of_descriptors_is_that_of_the_process() -> None:
    assert load_sockets._descriptors_max() > 0


def test_a_simulated_network_has_no_descriptors() -> None:
    network = SimNetwork()
    sockets = open_sockets(network, socket.AF_INET, 3)
    assert (len(sockets.endpoints), sockets.descriptors, sockets.rung) == (3, None, None)
    assert (sockets.dropped(), sockets.dropped_here()) == (0, 0)
    sockets.close()
    assert not network.endpoints


@pytest.mark.real
def test_the_systems_network_has() -> None:
    network = LoadNetwork(Settings(), lock_step=True)
    sockets = open_sockets(network, socket.AF_INET, 2)
    assert sockets.descriptors is not None
    assert len(set(sockets.descriptors)) == 2
    assert all(stat.S_ISSOCK(os.fstat(number).st_mode) for number in sockets.descriptors)
    assert sockets.rung == "portable"
    sockets.close()


def test_losses_differ_by_port_and_seed() -> None:
    def draws(seed: int) -> list[float]:
        sockets = open_sockets(SimNetwork(), socket.AF_INET, 2, 0.1, seed)
        return [endpoint._draws.random() for endpoint in sockets.lossy]

    assert draws(1) == draws(1)
    assert len({*draws(1), *draws(2)}) == 4


def test_when_one_cannot_be_opened_all_are_closed() -> None:
    network = SimNetwork()

    def refuse(family: int, local: LocalAddress | None) -> int | None:
        return errno.EMFILE if len(network.endpoints) == 2 else None

    network.refuse_open = refuse
    with pytest.raises(ClientError, match="socket 3 of 5: Too many open files") as caught:
        open_sockets(network, socket.AF_INET, 5)
    assert caught.value.reason is Reason.CONNECT
    assert not network.endpoints
