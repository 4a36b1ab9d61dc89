"""What the pumps make of the configuration, and when a batch is given time to fill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from snowowl.datagram.interface import Received
from snowowl.server.intake import FILLED_PART, Intake
from snowowl.server.tuning import Tuning, tuning_of
from snowowl.testing.simnetwork import SimNetwork
from tests.real.inside import configure

FILL = 70e-6


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, Tuning(poll_seconds=50e-6, fill_seconds=100e-6, batch_max=32)),
        ({"platform__poll_us": 0}, Tuning(fill_seconds=100e-6)),
        ({"platform__batch__batch_timeout_us": 0}, Tuning(poll_seconds=50e-6)),
        ({"platform__rung": "portable"}, Tuning(poll_seconds=50e-6)),
        ({"platform__batch__enable_recvmmsg": False}, Tuning(poll_seconds=50e-6)),
        (
            {
                "platform__poll_us": 1000,
                "platform__batch__batch_timeout_us": 10_000,
                "platform__batch__max_batch_size": 1024,
            },
            Tuning(poll_seconds=0.001, fill_seconds=0.01, batch_max=1024),
        ),
    ],
)
def test_what_the_configuration_says(
    tmp_path: Path, keys: dict[str, object], expected: Tuning
) -> None:
    found = tuning_of(configure(tmp_path, **keys))
    assert found.poll_seconds == pytest.approx(expected.poll_seconds)
    assert found.fill_seconds == pytest.approx(expected.fill_seconds)
    assert found.batch_max == expected.batch_max


def test_without_a_configuration_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a client, or an exchange that a test made."""
    intake, slept = scripted(monkeypatch, Tuning(), [1, 1, 1])
    for _ in range(3):
        assert not intake.next(intake.first(1000), 1)
    assert slept == []


def scripted(
    monkeypatch: pytest.MonkeyPatch, tuning: Tuning, sizes: Sequence[int]
) -> tuple[Intake, list[float]]:
    """Return the intake of an endpoint that receives batches of these sizes, and what it slept."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    endpoint = SimNetwork().bind("192.0.2.1", 69)
    left = list(sizes)

    def receive() -> Sequence[Received]:
        return [Received(b"octets", 6, b"peer")] * left.pop(0) if left else ()

    monkeypatch.setattr(endpoint, "receive", receive)
    return Intake(endpoint, tuning), slept


@pytest.mark.parametrize(
    ("before", "transfers", "waits"),
    [
        (1, 32, True),
        (7, 32, True),
        (8, 32, False),  # a quarter full
        (32, 32, False),
        (1, 31, False),  # no more could come than there are clients
        (7, 1000, True),
        (1, 0, False),
    ],
)
def test_a_small_batch_of_many_clients_waits_to_fill(
    monkeypatch: pytest.MonkeyPatch, before: int, transfers: int, *, waits: bool
) -> None:
    tuning = Tuning(fill_seconds=FILL, batch_max=32)
    intake, slept = scripted(monkeypatch, tuning, [before, 5])
    intake.first(0)
    assert len(intake.first(transfers)) == 5
    assert slept == ([FILL] if waits else [])


def test_what_follows_a_batch_does_not_wait_and_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A burst is taken in one go; how full its last batch was says nothing."""
    intake, slept = scripted(monkeypatch, Tuning(fill_seconds=FILL), [32, 32, 2, 9])
    batch = intake.first(0)
    while batch:
        last, batch = batch, intake.next(batch, 1000)
        if len(last) == 2:
            break
    assert slept == []
    intake.first(1000)
    assert slept == []


@pytest.mark.parametrize("batch_max", range(1, 2 * FILLED_PART))
def test_where_no_batch_is_small_nothing_ever_waits(
    monkeypatch: pytest.MonkeyPatch, batch_max: int
) -> None:
    """As the configuration says of `batch_timeout_us`, if batches are that small."""
    tuning = Tuning(fill_seconds=FILL, batch_max=batch_max)
    intake, slept = scripted(monkeypatch, tuning, [1] * 10)
    intake.first(0)
    for _ in range(9):
        assert intake.first(1000)
    assert slept == []


def test_behind_a_single_datagram_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    intake, _ = scripted(monkeypatch, Tuning(), [1, 1])
    first = intake.first(1)
    assert intake.next(first, 1) == ()
    assert len(intake.first(1)) == 1  # it is there, and the next wait returns at once
