"""What `snowowl bench` says to people: one line for each thing that is measured.

Plain text in two columns, the same on a terminal and in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowowl.client.load_counts import Distribution
    from snowowl.client.load_report import Report

_DIGEST_DIGITS = 16


def table(url: str, report: Report) -> str:
    """Return the whole table, without a line end."""
    lines = [_title(url, report), _subtitle(report), ""]
    lines += [f"{label:13}{text}" for label, text in _rows(report)]
    lines += [f"{'failed' if first else '':13}{line}" for first, line in _failures(report)]
    return "\n".join(lines)


def failure_lines(report: Report) -> list[str]:
    """Return a line for each kind of failure."""
    from snowowl.observe.words import printable

    return [
        f"{failure.count} x {printable(failure.what)} (first: {printable(failure.first)})"
        for failure in report.failures
    ]


def _failures(report: Report) -> Iterator[tuple[bool, str]]:
    for index, line in enumerate(failure_lines(report)):
        yield index == 0, line


def _title(url: str, report: Report) -> str:
    from snowowl.observe.words import size_text

    parts = [f"{'uploads to' if report.upload else 'downloads of'} {url}"]
    if report.size is not None:
        parts.append(size_text(report.size))
    if report.digest is not None:
        parts.append(f"sha256 {report.digest[:_DIGEST_DIGITS]}...")
    return ", ".join(parts)


def _subtitle(report: Report) -> str:
    from snowowl.observe.describe import options_text

    parts = [_number(report.clients, "client"), _number(report.sockets, "port")]
    parts += [f"rung {report.rung}"] if report.rung else []
    parts += [options_text(report.granted) or "no options"]
    return ", ".join(parts)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    from snowowl.observe.words import rate_text, size_text

    seconds = report.seconds
    transfers = f"{report.done} done, {report.failed} failed"
    transfers += f", {report.unfinished} unfinished" if report.unfinished else ""
    yield "transfers", f"{transfers}: {report.transfers_rate:.1f} a second"
    octets = report.octets
    yield "octets", f"{size_text(octets)} in {seconds:.2f} s: {rate_text(octets, seconds)}"
    yield "latency", _quantiles(report.latency)
    yield "first answer" if report.upload else "first block", _quantiles(report.first_block)
    again = [_number(report.requests_resent, "request")]
    if report.upload:
        again.append(_number(report.blocks_resent, "block"))
    else:
        again.append(_number(report.acks_resent, "ACK"))
    yield "sent again", ", ".join(again)
    if not report.upload:
        in_vain = f"{_number(report.duplicates, 'duplicate')}, {report.out_of_order} out of order"
        yield "came in vain", in_vain
    lost = [f"{report.lost_on_purpose} on purpose"] if report.lost_on_purpose else []
    if report.dropped_by_client:
        lost.append(f"{report.dropped_by_client} by the client, whose receive buffer was full")
    if lost:
        yield "lost", ", ".join(lost)
    if report.verified is not None:
        yield "read back", f"{report.verified} of {report.done} are right"
    yield "client", _client(report)
    if report.is_bottleneck:
        share = report.cpu_share * 100
        yield "", f"the client was the bottleneck, or nearly: {share:.0f} % of a CPU"


def _client(report: Report) -> str:
    text = f"{report.cpu_seconds:.2f} s of CPU, {report.cpu_share * 100:.0f} % of one"
    if report.blocks:
        text += f", {report.cpu_seconds / report.blocks * 1e6:.1f} us a block"
    return text


def _quantiles(distribution: Distribution) -> str:
    if not distribution.count:
        return "-"
    named = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return "  ".join(
        f"{name} {_milliseconds(distribution.quantile(share) or 0.0)}"
        for name, share in named.items()
    )


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.{2 if milliseconds < 10 else 0}f} ms"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
