"""What `snowowl bench` says to people."""

from __future__ import annotations

import attrs

from snowowl.cli.bench_table import failure_lines, table
from snowowl.client.load_counts import Failure
from tests.client.test_load_report import report


def test_the_table() -> None:
    assert (
        table("tftp://board/file", report())
        == """\
downloads of tftp://board/file, 1000 B, sha256 ab...
2 clients, 8 ports, rung gso, blksize=1428

transfers    3 done, 1 failed, 1 unfinished: 1.5 a second
octets       3.4 KiB in 2.00 s: 1.7 KiB/s
latency      p50 201 ms  p95 400 ms  p99 400 ms  max 400 ms
first block  -
sent again   1 request, 2 ACKs
came in vain 3 duplicates, 4 out of order
lost         5 on purpose, 6 by the client, whose receive buffer was full
client       0.50 s of CPU, 25 % of one, 50000.0 us a block
failed       1 x silence (first: client 1, file)"""
    )


def test_the_table_of_an_upload() -> None:
    upload = attrs.evolve(
        report(),
        upload=True,
        rung=None,
        granted=(),
        digest=None,
        blocks_resent=1,
        verified=2,
        lost_on_purpose=0,
        dropped_by_client=0,
        failures=(),
    )
    lines = table("tftp://board/up/", upload).splitlines()
    assert lines[:2] == ["uploads to tftp://board/up/, 1000 B", "2 clients, 8 ports, no options"]
    assert "first answer -" in lines
    assert "sent again   1 request, 1 block" in lines
    assert "read back    2 of 3 are right" in lines
    assert not any(line.startswith(("lost", "failed", "came")) for line in lines)


def test_the_bottleneck_is_named() -> None:
    busy = table("tftp://board/file", attrs.evolve(report(), cpu_seconds=1.94))
    assert "the client was the bottleneck, or nearly: 97 % of a CPU" in busy
    assert "bottleneck" not in table("tftp://board/file", report())


def test_short_times_have_digits() -> None:
    quick = report()
    quick.first_block.add(0.000_5)
    assert "p50 0.50 ms" in table("tftp://board/file", quick)


def test_what_servers_say_cannot_steer_a_terminal() -> None:
    failures = (
        Failure("said \x1b[31m\n", "client 1, \x1b]0;x\x07", None, 2),
        Failure("other", "client 2", None, 1),
    )
    lines = failure_lines(attrs.evolve(report(), failures=failures))
    assert lines == [
        r"2 x said \x1b[31m\n (first: client 1, \x1b]0;x\x07)",
        "1 x other (first: client 2)",
    ]
    text = table("tftp://board/file", attrs.evolve(report(), failures=failures))
    assert text.splitlines()[-1] == "             1 x other (first: client 2)"


def test_an_empty_load_has_a_table_too() -> None:
    nothing = attrs.evolve(report(), seconds=0.0, octets=0, blocks=0, done=0, size=None)
    assert "octets       0 B in 0.00 s: -" in table("tftp://board/file", nothing)
