"""The command line of the benchmark: what to run, how often, and where the tables go.

Tables go to stdout, everything else to stderr.  Nothing is measured here.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench.measure import run
from tests.bench.report import (
    number,
    replaced,
    rows_of,
    short_table,
    variants_table,
    whole_table,
)
from tests.bench.results import Result, Runs, runs_of
from tests.bench.scenarios import SCENARIOS, Scenario
from tests.bench.servers import MAKERS, variants_in
from tests.bench.workspace import HERE, prepare
from tests.peers.servers import Server, snowowl
from tests.peers.workspace import REPOSITORY, UnusableError, Workspace, default_folder

OVERHEAD_SECONDS: Final = 0.9
"""Of a run: start, readiness, end; measured as the mean over all servers."""

QUICK: Final = 0.4
"""Of the duration of a run: enough to see what is wrong, too short to be believed."""

BUSY_LOAD: Final = 0.7
"""A machine that does that much already gives numbers that nobody can repeat."""

Step = tuple[Scenario, int, Server]

console = Console(stderr=True, highlight=False)


def rotated(servers: Sequence[Server], by: int) -> list[Server]:
    """Return the servers of a round: in each round another one begins."""
    at = by % len(servers) if servers else 0
    return [*servers[at:], *servers[:at]]


def steps_of(
    scenarios: Sequence[Scenario], servers: Sequence[Server], rounds: int
) -> Iterator[Step]:
    """Yield the runs in order: all servers of a round side by side, scenario by scenario."""
    for scenario in scenarios:
        concerned = [
            each for each in servers if each.scenarios is None or scenario.key in each.scenarios
        ]
        for at in range(min(rounds, scenario.rounds_max)):
            yield from ((scenario, at, server) for server in rotated(concerned, at))


def machine() -> str:
    """Return what the numbers were taken on, in a few words."""
    cpus = len(os.sched_getaffinity(0))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{cpus} CPUs, {platform.system()} {release}, {python}, loopback"


def described(result: Result, scenario: Scenario) -> str:
    """Return one run as a line."""
    if result.problem:
        value = result.problem
    else:
        value = f"{number(result.value)} {scenario.measure.value}"
        value += f", CPU {number(result.cpu)}" if result.cpu else ""
    more = f"  ({result.note})" if result.note else ""
    return f"{scenario.key:15} {result.server:24} {value}{more}"


def chosen_servers(
    names: Sequence[str], trees: Sequence[str], variants_file: Path | None, workspace: Workspace
) -> list[Server]:
    """Return the servers that can be had; say which cannot, and why."""
    found: list[Server] = []
    for name in names:
        try:
            found.append(MAKERS[name](workspace))
        except UnusableError as error:
            console.print(f"left out: {name}: {error}", style="yellow", markup=False)
    for text in trees:
        name, _, tree = text.partition("=")
        if not Path(tree, "snowowl").is_dir():
            raise ValueError(f"--tree {text}: {tree or 'nothing'} is no checkout of snowowl")
        found.append(snowowl(workspace, name, kind="variant", tree=Path(tree).resolve()))
    if variants_file is not None and "snowowl" in names:
        for variant in variants_in(variants_file.read_text(encoding="utf-8")):
            name, config, scenarios = attrs.astuple(variant)
            try:
                found.append(
                    snowowl(workspace, name, kind="variant", config=config, scenarios=scenarios)
                )
            except UnusableError as error:
                console.print(f"left out: {name}: {error}", style="yellow", markup=False)
    return found


def measured(steps: Sequence[Step], workspace: Workspace, brief: float) -> list[Result]:
    """Do all runs, and show how far they are; Ctrl-C ends early, with what there is."""
    results = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(steps))
        try:
            for scenario, at, server in steps:
                progress.update(task, description=f"{scenario.key} {server.name}")
                result = run(scenario, server, workspace, at, brief=brief)
                results.append(result)
                progress.console.print(described(result, scenario), markup=False, soft_wrap=True)
                progress.advance(task)
        except KeyboardInterrupt:
            console.print("stopped; the tables have what was measured", style="yellow")
    return results


def text_of(runs: Runs) -> str:
    """Return all that is to be said of runs, as Markdown."""
    rows = rows_of(runs.results, runs.named("peer"))
    columns = [*runs.named("peer"), *runs.named("limit"), *runs.named("snowowl")]
    versions = ", ".join(f"{name} {version}" for name, version in runs.versions.items() if version)
    text = f"{runs.machine}; {versions}; rounds: {runs.rounds}, minutes: {runs.minutes:.0f}.\n\n"
    text += whole_table(rows, columns)
    compared = variants_table(runs.results, runs.named("variant"))
    return text + (f"\nsnowowl against itself:\n\n{compared}" if compared else "")


def write_readmes(runs: Runs) -> None:
    """Put the tables where the documents have their markers."""
    rows = rows_of(runs.results, runs.named("peer"))
    for path, table in (
        (HERE / "README.md", text_of(runs)),
        (REPOSITORY / "README.md", short_table(rows)),
    ):
        old = path.read_text(encoding="utf-8")
        new = replaced(old, table)
        if new != old:
            path.write_text(new, encoding="utf-8")
            console.print(f"wrote {path.relative_to(REPOSITORY)}")


def _keys(_context: click.Context, option: click.Parameter, text: str) -> list[str]:
    known = [scenario.key for scenario in SCENARIOS] if option.name == "only" else list(MAKERS)
    chosen = [word for word in text.split(",") if word] or known
    if unknown := [word for word in chosen if word not in known]:
        raise click.BadParameter(f"unknown: {', '.join(unknown)} (there are {', '.join(known)})")
    return [word for word in known if word in chosen]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--only", metavar="A,B", default="", callback=_keys, help="These scenarios only (--list)."
)
@click.option(
    "--servers", metavar="A,B", default="", callback=_keys, help="These servers only (--list)."
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 99), help="Rounds.")
@click.option("--quick", is_flag=True, help="Shorter runs, one round: to try things, not to quote.")
@click.option(
    "--variants",
    "variants_file",
    type=click.Path(path_type=Path, exists=True),
    default=HERE / "variants.toml",
    help="snowowl's own variants.  [default: variants.toml here]",
)
@click.option("--no-variants", is_flag=True, help="Leave the variants out.")
@click.option(
    "--tree",
    "trees",
    multiple=True,
    metavar="NAME=DIR",
    help="Measure snowowl from another checkout too; may be repeated.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Keep all runs here.")
@click.option(
    "--from-json",
    type=click.Path(path_type=Path, exists=True),
    help="Make the tables of runs that were kept, and measure nothing.",
)
@click.option("--write-readme", is_flag=True, help="Put the tables into the two README.md.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=default_folder("bench"),
    show_default=True,
    help="Where tools, peers and files are kept between runs; on a disk.",
)
@click.option("--list", "listed", is_flag=True, help="List scenarios and servers.")
def main(
    *,
    only: list[str],
    servers: list[str],
    rounds: int,
    quick: bool,
    variants_file: Path,
    no_variants: bool,
    trees: tuple[str, ...],
    json_file: Path | None,
    from_json: Path | None,
    write_readme: bool,
    work: Path,
    listed: bool,
) -> None:
    """Measure snowowl beside other TFTP servers, and print the tables as Markdown.

    \b
    run.py                                          everything, some 25 minutes
    run.py --quick --servers snowowl,limit          a look, a minute
    run.py --only storm,window64 --rounds 5         two scenarios, thoroughly

    Peers that are not installed are fetched from Debian and PyPI into the work folder.  As root, all of
    them can run; otherwise some are left out.
    """
    scenarios = [scenario for scenario in SCENARIOS if scenario.key in only]
    if listed:
        click.echo(
            "".join(f"{scenario.key:15} {scenario.title}\n" for scenario in scenarios), nl=False
        )
        click.echo(f"servers: {', '.join(servers)}")
        return
    if from_json is not None:
        try:
            runs = runs_of(from_json.read_text(encoding="utf-8"))
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    else:
        workspace = Workspace(work.resolve())
        file = None if no_variants else variants_file
        try:
            prepare(workspace)
            chosen = chosen_servers(servers, trees, file, workspace)
            runs = _measure(
                scenarios, chosen, workspace, 1 if quick else rounds, QUICK if quick else 1.0
            )
        except (UnusableError, ValueError) as error:
            raise click.ClickException(str(error)) from None
    if json_file is not None:
        json_file.write_text(runs.to_json(), encoding="utf-8")
    click.echo(text_of(runs), nl=False)
    if write_readme:
        write_readmes(runs)


def _measure(
    scenarios: Sequence[Scenario],
    servers: Sequence[Server],
    workspace: Workspace,
    rounds: int,
    brief: float,
) -> Runs:
    steps = list(steps_of(scenarios, servers, rounds))
    seconds = sum(scenario.seconds * brief + OVERHEAD_SECONDS for scenario, _, _ in steps)
    console.print(f"{len(steps)} runs, at most {seconds / 60:.0f} minutes")
    if os.getloadavg()[0] > BUSY_LOAD:
        console.print("the machine is busy: trust ratios only", style="yellow")
    began = time.monotonic()
    results = measured(steps, workspace, brief)
    return Runs(
        machine=machine(),
        rounds=rounds,
        minutes=(time.monotonic() - began) / 60,
        servers={server.name: server.kind for server in servers},
        versions={server.name: server.version for server in servers},
        results=results,
    )
