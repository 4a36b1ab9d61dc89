"""The report: totals, shares, and the JSON that programs rely on."""

from __future__ import annotations

import json

import attrs

from snowowl.client.load_counts import Distribution, Failure
from snowowl.client.load_report import SCHEMA, Report


def report() -> Report:
    latency = Distribution()
    for seconds in (0.1, 0.2, 0.4):
        latency.add(seconds)
    return Report(
        upload=False,
        clients=2,
        sockets=8,
        rung="gso",
        asked=((b"blksize", b"1468"),),
        granted=((b"blksize", b"1428"),),
        size=1000,
        digest="ab",
        seconds=2.0,
        cpu_seconds=0.5,
        begun=5,
        done=3,
        failed=1,
        unfinished=1,
        octets=3500,
        blocks=10,
        latency=latency,
        first_block=Distribution(),
        requests_resent=1,
        acks_resent=2,
        blocks_resent=0,
        duplicates=3,
        out_of_order=4,
        lost_on_purpose=5,
        dropped_by_client=6,
        verified=None,
        failures=(Failure("silence", "client 1, file", None, 1),),
        interrupted=False,
    )


def test_the_json_is_an_interface() -> None:
    """Programs read it: add to it, but whoever changes what is here counts `SCHEMA` up."""
    assert json.loads(json.dumps(report().as_dict())) == {
        "schema": SCHEMA,
        "direction": "download",
        "clients": 2,
        "sockets": 8,
        "rung": "gso",
        "asked": {"blksize": "1468"},
        "granted": {"blksize": "1428"},
        "size": 1000,
        "sha256": "ab",
        "interrupted": False,
        "seconds": 2.0,
        "transfers": {"begun": 5, "done": 3, "failed": 1, "unfinished": 1, "verified": None},
        "octets": 3500,
        "blocks": 10,
        "octets_per_second": 1750.0,
        "transfers_per_second": 1.5,
        "latency_seconds": {"p50": 0.201311, "p95": 0.4, "p99": 0.4, "max": 0.4},
        "first_block_seconds": {"p50": None, "p95": None, "p99": None, "max": None},
        "resent": {"requests": 1, "acks": 2, "blocks": 0},
        "received_in_vain": {"duplicates": 3, "out_of_order": 4},
        "lost": {"on_purpose": 5, "receive_buffer_full": 6},
        "client": {
            "cpu_seconds": 0.5,
            "cpu_share": 0.25,
            "cpu_us_per_block": 50000.0,
            "is_bottleneck": False,
        },
        "failures": [{"what": "silence", "count": 1, "first": "client 1, file"}],
    }
    assert SCHEMA == 1


def test_of_nothing_there_are_no_rates() -> None:
    nothing = attrs.evolve(
        report(), seconds=0.0, cpu_seconds=0.0, done=0, octets=0, blocks=0, granted=()
    )
    assert (nothing.rate, nothing.transfers_rate, nothing.cpu_share) == (0.0, 0.0, 0.0)
    client = nothing.as_dict()["client"]
    assert isinstance(client, dict)
    assert client["cpu_us_per_block"] is None


def test_an_upload_says_so() -> None:
    assert attrs.evolve(report(), upload=True).as_dict()["direction"] == "upload"


def test_a_client_that_has_no_cpu_left_is_the_bottleneck() -> None:
    assert not attrs.evolve(report(), cpu_seconds=1.8).is_bottleneck
    assert attrs.evolve(report(), cpu_seconds=1.81).is_bottleneck
