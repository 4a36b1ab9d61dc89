"""What a load may be made of."""

from __future__ import annotations

import math

import pytest

from snowowl.client.load_options import CLIENTS_MAX, UPLOAD_SIZE_MAX, LoadOptions


@pytest.mark.parametrize(
    ("options", "transfers_max", "asks_again"),
    [
        (LoadOptions(), 1, False),
        (LoadOptions(clients=7), 7, False),
        (LoadOptions(clients=7, transfers=3), 3, False),
        (LoadOptions(clients=7, transfers=8), 8, True),
        (LoadOptions(clients=7, seconds=1.0), None, True),
        (LoadOptions(clients=7, seconds=1.0, transfers=5), 5, False),
    ],
)
def test_when_nobody_asks_again(
    options: LoadOptions, transfers_max: int | None, asks_again: bool
) -> None:
    assert (options.transfers_max, options.asks_again) == (transfers_max, asks_again)


@pytest.mark.parametrize("clients", [0, CLIENTS_MAX + 1])
def test_clients_out_of_range(clients: int) -> None:
    with pytest.raises(ValueError, match="clients must be from 1 to 20000"):
        LoadOptions(clients=clients)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_seconds_out_of_range(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be positive"):
        LoadOptions(seconds=seconds)


@pytest.mark.parametrize("loss", [-0.1, 100.0, math.nan])
def test_loss_out_of_range(loss: float) -> None:
    with pytest.raises(ValueError, match="loss_percent must be from 0 to less than 100"):
        LoadOptions(loss_percent=loss)


def test_fewer_sockets_than_clients() -> None:
    assert LoadOptions(clients=3, sockets=3).sockets == 3
    with pytest.raises(ValueError, match="sockets must be from 3 to 65536, not 2"):
        LoadOptions(clients=3, sockets=2)


@pytest.mark.parametrize("size", [-1, UPLOAD_SIZE_MAX + 1])
def test_upload_size_out_of_range(size: int) -> None:
    with pytest.raises(ValueError, match="upload_size"):
        LoadOptions(upload_size=size)


@pytest.mark.parametrize("name", ["bench", "{client}", "{n}", "", "{}{client}"])
def test_names_of_uploads_that_would_come_twice(name: str) -> None:
    with pytest.raises(ValueError, match="so that no name comes twice"):
        LoadOptions(upload_name=name)


def test_a_name_that_no_request_can_hold() -> None:
    with pytest.raises(ValueError, match="NUL"):
        LoadOptions(upload_name="{client}{n}\0")
