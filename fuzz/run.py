"""Fuzzes snowowl: one entry for every engine.

    python fuzz/run.py --list
    python fuzz/run.py --target decode --target server --seconds 60
    python fuzz/run.py --engine atheris --seconds 300 --jobs 2
    python fuzz/run.py --engine replay fuzz/findings/decode-1b2c3d4e.txt

Exit status: 0 nothing was found, 1 something was, 2 wrong usage, 3 an engine cannot run.
"""

from __future__ import annotations

import os
import random
import sys
import textwrap
import time
import traceback
from pathlib import Path
from typing import Final

import click

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from fuzz import corpus, engines
from fuzz.plays import reason_of
from fuzz.seeds import SeedError, pasteable
from fuzz.targets import TARGETS
from fuzz.terminal import WIDTH, Line, end_in_order

EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNABLE: Final = 3

FINDINGS: Final = Path(__file__).resolve().with_name("findings")
ENGINES: Final = (*engines.NEEDS, "replay")
SECONDS: Final = 10.0
EXAMPLES_MAX: Final = 1_000_000_000


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 nothing was found, 1 something was, 2 wrong usage, 3 an engine cannot run.",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Name the targets and their invariants.")
@click.option("-e", "--engine", type=click.Choice(ENGINES), default="hypothesis", show_default=True)
@click.option(
    "-t",
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(list(TARGETS)),
    metavar="NAME",
    help="What to fuzz; may be given more than once.  [default: everything]",
)
@click.option(
    "--seconds", type=click.FloatRange(0.1), help=f"For each target.  [default: {SECONDS:g}]"
)
@click.option(
    "--examples",
    type=click.IntRange(1, EXAMPLES_MAX),
    help="For each target, at most.  [default: no limit but the time]",
)
@click.option(
    "--seed", type=click.IntRange(0), help="Begin with this one.  [default: a random one]"
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
@click.option(
    "--findings",
    type=click.Path(path_type=Path, file_okay=False),
    default=FINDINGS,
    help="The folder that findings are saved in.  [default: fuzz/findings]",
)
def main(
    files: tuple[Path, ...],
    engine: str,
    targets: tuple[str, ...],
    seconds: float | None,
    examples: int | None,
    seed: int | None,
    jobs: int,
    findings: Path,
    *,
    listing: bool,
) -> None:
    """Fuzz snowowl by an engine, or replay FILES of seeds (the corpus, if none is named)."""
    if listing:
        for target in TARGETS.values():
            click.echo(target.name)
            click.echo(
                textwrap.fill(
                    target.invariant, WIDTH, initial_indent="    ", subsequent_indent="    "
                )
            )
        return
    if engine == "replay":
        sys.exit(replay(files, targets))
    if files:
        raise click.UsageError("files are for --engine replay")
    if seconds is None:
        seconds = SECONDS if examples is None else float(EXAMPLES_MAX)
    order = engines.Order(
        engine,
        list(dict.fromkeys(targets)) or list(TARGETS),
        seconds,
        examples or EXAMPLES_MAX,
        random.SystemRandom().randrange(2**31) if seed is None else seed,
        jobs,
        findings,
    )
    sys.exit(fuzz(order))


# Fuzzing.


class Progress:
    """Says how far the engines are."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._line = Line()

    def __call__(self, everything: engines.Round) -> None:
        """Say what has been counted."""
        tallies = everything.tallies.values()
        running = " ".join(everything.running) or "starting"
        self._line.show(
            f"{time.monotonic() - self._begun:.0f} s  {running}  "
            f"{sum(tally.examples for tally in tallies):,} examples  "
            f"{sum(len(tally.findings) for tally in tallies)} findings"
        )

    def clear(self) -> None:
        """Take the line away."""
        self._line.clear()


def fuzz(order: engines.Order) -> int:
    """Carry out an order and report; return the exit status."""
    click.echo(f"{order.engine}, seed {order.seed}, {len(order.targets)} targets")
    progress = Progress()
    try:
        tallies = engines.run(order, progress)
    except engines.UnableError as error:
        click.echo(f"run.py: {error}", err=True)
        return EXIT_UNABLE
    except KeyboardInterrupt:
        progress.clear()
        click.echo("run.py: interrupted", err=True)
        return EXIT_UNABLE
    progress.clear()
    return report(tallies)


def report(tallies: list[engines.Tally]) -> int:
    """Print a line for each target, and what was found; return the exit status."""
    click.echo(
        f"{'target':<14}{'examples':>12}{'datagrams':>12}{'seconds':>9}{'per s':>9}  findings"
    )
    for tally in tallies:
        click.echo(
            f"{tally.target:<14}{tally.examples:>12,}{tally.datagrams:>12,}{tally.seconds:>9.1f}"
            f"{tally.rate:>9,.0f}  {len(tally.findings) or ('-' if not tally.trouble else 'broken')}"
        )
    for tally in tallies:
        for path in tally.findings.values():
            click.echo(f"\n{path}")
            text = path.read_text(encoding="utf-8")
            click.echo("".join(f"  {line[2:]}\n" for line in text.split("\n") if line[:1] == "#"))
            click.echo(f"replay it: python fuzz/run.py --engine replay {os.path.relpath(path)}")
        if tally.trouble:
            click.echo(f"\n{tally.target}: the engine has failed: {tally.trouble}", err=True)
    if any(tally.findings for tally in tallies):
        return EXIT_FINDINGS
    return EXIT_UNABLE if any(tally.trouble for tally in tallies) else 0


# Replaying.


def replay(files: tuple[Path, ...], targets: tuple[str, ...]) -> int:
    """Run files of seeds, or the corpus; return the exit status."""
    if files and len(targets) > 1:
        raise click.UsageError("name one target for files, or none where the files say theirs")
    try:
        pairs = [(targets[0] if targets else target_of(path), path) for path in files]
        if not files:
            pairs = [(name, path) for name in targets or TARGETS for path in corpus.files(name)]
        failed = sum(not replayed(name, path) for name, path in pairs)
    except SeedError as error:
        click.echo(f"run.py: {error}", err=True)
        return EXIT_USAGE
    click.echo(f"{len(pairs)} files replayed, {failed} failed")
    return EXIT_FINDINGS if failed else 0


def target_of(path: Path) -> str:
    """Return the target that a file says, or whose folder it is in.  Raises SeedError."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: cannot be read: {error}") from None
    said = first.removeprefix("# target:").strip() if first.startswith("# target:") else ""
    for name in (said, path.resolve().parent.name):
        if name in TARGETS:
            return name
    raise SeedError(f"{path}: it does not say of which target it is; say so by --target")


def replayed(name: str, path: Path) -> bool:
    """Run the seeds of a file and say whether all went well.  Raises SeedError."""
    target = TARGETS[name]
    for seed in corpus.read(path, name):
        try:
            target.run(seed)
        except SeedError as error:
            raise SeedError(f"{path}: {error}") from None
        except Exception as error:  # noqa: BLE001 - whatever a target raises is what was looked for
            click.echo(f"{path}: {reason_of(error)}\n")
            click.echo(textwrap.indent("".join(traceback.format_exception(error)), "  "))
            click.echo(textwrap.indent(pasteable(target.path, seed), "  "))
            return False
    return True


if __name__ == "__main__":
    end_in_order()
    main()
