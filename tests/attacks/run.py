"""Attack a running server, and ask how boards fare meanwhile: a table.

    python -m tests.attacks.run [--only NAME] [--where loopback|namespaces] [--seconds N] [--write]

For root (forged addresses), on Linux.  Each attack gets a server of its own: 10 boards fetch a file of
40 KiB again and again, before the attack, while it lasts, and after it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import attrs

from tests.attacks.stage import LOOPBACK, Place, Watched, boot, namespaces, said, served, start

RESULTS: Final = Path(__file__).parent / "RESULTS.md"

Begin = Callable[[Place, Watched, float], subprocess.Popen[bytes]]


@attrs.frozen
class Attack:
    """What is done to a server."""

    name: str
    begin: Begin
    config: str = ""


def forged(kind: str, rate: int) -> Attack:
    """Return a flood from forged addresses."""

    def begin(place: Place, server: Watched, seconds: float) -> subprocess.Popen[bytes]:
        return start(place, "forged", kind, place.host, server.port, rate, seconds, place.forged)

    config = "write.enabled = true\n" if kind == "wrq" else ""
    return Attack(f"{kind}, {rate}/s", begin, config)


def one_source(kind: str, rate: int) -> Attack:
    """Return a flood from one address."""

    def begin(place: Place, server: Watched, seconds: float) -> subprocess.Popen[bytes]:
        network = place.forged.partition("/")[0] + "/30"
        return start(place, "forged", kind, place.host, server.port, rate, seconds, network)

    return Attack(f"{kind}, {rate}/s of two addresses", begin)


def held(kind: str, count: int) -> Attack:
    """Return clients that hold transfers open."""

    def begin(place: Place, server: Watched, seconds: float) -> subprocess.Popen[bytes]:
        words = (kind, place.host, server.port, count, seconds, "boot/big")
        return start(place, "held", *words, *place.held)

    return Attack(f"{kind}, {count} transfers", begin)


ATTACKS: Final = (
    forged("rrq", 1000),
    forged("rrq", 10_000),
    forged("rrq-options", 10_000),
    forged("rrq-missing", 10_000),
    forged("wrq", 5_000),
    forged("malformed", 10_000),
    forged("noise", 20_000),
    forged("strays", 20_000),
    forged("bombs", 5_000),
    forged("logs", 5_000),
    one_source("rrq", 10_000),
    held("half-open", 100_000),
    held("slow", 5_000),
    held("silent", 5_000),
)

HEAD: Final = (
    "| attack | boards: good | p50 before; during; after (ms) | p99 (ms) | CPU of the server |"
    " memory | descriptors | log lines |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def play(attack: Attack, place: Place, seconds: float) -> str:
    """Play one attack; return its row."""
    with served(place, attack.config) as server:
        before = boot(place, server, seconds / 3)
        lines, cpu = server.log_lines(), server.cpu()
        with attack.begin(place, server, seconds + 1) as process:
            try:
                during = boot(place, server, seconds)
                cpu, lines = server.cpu() - cpu, server.log_lines() - lines
                numbers = said(process)
            finally:
                process.kill()  # whatever becomes of the boards: nobody attacks on
        after = boot(place, server, seconds / 3)
        alive = server.process.poll() is None
        row = (
            f"| {attack.name} ({' '.join(map(str, numbers))})"
            f" | {len(during.took)} of {len(during.took) + len(during.failures)}"
            f" ({during.share:.1%}); after {after.share:.0%}"
            f" | {before.quantile(0.5) * 1e3:.0f}; {during.quantile(0.5) * 1e3:.0f};"
            f" {after.quantile(0.5) * 1e3:.0f}"
            f" | {before.quantile(0.99) * 1e3:.0f}; {during.quantile(0.99) * 1e3:.0f};"
            f" {after.quantile(0.99) * 1e3:.0f}"
            f" | {cpu:.1f} of {seconds:.0f} s | {server.peak_mib():.0f} MiB"
            f" | {server.descriptors_max} | {lines}{'' if alive else ' **DIED**'} |"
        )
        for text, count in Counter(during.failures + after.failures).most_common(3):
            sys.stderr.write(f"  {count}x {text}\n")
    return row


def rows(place: Place, seconds: float, only: str) -> Iterator[str]:
    """Play all attacks that are wanted."""
    for attack in ATTACKS:
        if only in attack.name:
            row = play(attack, place, seconds)
            sys.stderr.write(row + "\n")
            yield row


def main() -> None:
    """Play the attacks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name holds this")
    parser.add_argument("--where", choices=["loopback", "namespaces"], default="loopback")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each attack")
    parser.add_argument("--out", type=Path, help="write the table here, too")
    given = parser.parse_args()
    with namespaces() if given.where == "namespaces" else nullcontext(LOOPBACK) as place:
        table = "\n".join([HEAD, *rows(place, given.seconds, given.only)])
    sys.stdout.write(table + "\n")
    if given.out:
        given.out.write_text(table + "\n")


if __name__ == "__main__":
    main()
