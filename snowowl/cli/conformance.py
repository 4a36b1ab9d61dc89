"""`snowowl conformance`: try a TFTP server clause by clause."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from snowowl.cli import EXIT_INTERRUPTED
from snowowl.cli.numbers import FloatRange
from snowowl.cli.signals import ending_signals

if TYPE_CHECKING:
    from snowowl.client.url import Target as Place
    from snowowl.datagram.system import SystemNetwork
    from snowowl.testing.conformance import Case, Report, Result, Settings, Target

EXIT_FOUND = 1
EXIT_CANNOT_RUN = 3

SHOW_SECONDS = 0.1
NAME_MAX = 400
"""Octets of a file's name: with options, a request of 512 octets holds no more (RFC 2347)."""
_SCHEME = "tftp://"
_INTERRUPTED = "interrupted"

_HELP = """\b
Verdicts:
  OK             it does what the clause says
  NON-STRICT     it does not, but the clause only recommends, or clients survive it
  INFORMATIONAL  the clause leaves it open; "-" was not tried, for the reason told
  FAILED         it breaks what a client may rely on

\b
Exit status:
  0 nothing failed    2 usage
  1 findings          3 could not run: server silent, file missing, host unknown
                    130 interrupted

A finding is tried a second time, alone, before it is reported. What might end a server
comes last, one case at a time, so that it is known which one did. Take a file of 10 KB to
1 MB whose text has line ends; for --long one of 512 KiB at least.
"""


@click.command(epilog=_HELP)
@click.argument("url", required=False)
@click.option("--read", metavar="NAME", help="A file on the server that may be read.")
@click.option(
    "--write",
    metavar="NAME",
    help="A name that may be written, {} in it becomes a new word each time.  [default: no writing]",
)
@click.option("--only", metavar="GLOB", multiple=True, help="Only cases whose id matches; repeat.")
@click.option("--skip", metavar="GLOB", multiple=True, help="No cases whose id matches; repeat.")
@click.option("--long", is_flag=True, help="Also what takes long: rollover, long silences.")
@click.option("--strict", is_flag=True, help="NON-STRICT counts as a finding, too.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    metavar="N",
    default=4,
    show_default=True,
    help="Cases at the same time.",
)
@click.option(
    "-t",
    "--timeout",
    type=FloatRange(0.1, 255),
    metavar="SECONDS",
    default=7.0,
    show_default=True,
    help="How long the server may take to send again.",
)
@click.option(
    "--limit",
    type=FloatRange(1),
    metavar="SECONDS",
    default=1800.0,
    show_default=True,
    help="Break off after so long.",
)
@click.option("--list", "listed", is_flag=True, help="Show the cases, and run none.")
@click.option(
    "--json",
    "json_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value="-",
    help="Write JSON to a file, or to stdout instead of the table.",
)
@click.option("--junit", type=click.Path(dir_okay=False), metavar="FILE", help="Write JUnit XML.")
@click.option("-v", "--verbose", is_flag=True, help="Show the datagrams of every case.")
@click.option("-q", "--quiet", is_flag=True, help="Show findings only.")
def conformance(
    url: str | None,
    read: str | None,
    write: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    jobs: int,
    timeout: float,
    limit: float,
    json_file: str | None,
    junit: str | None,
    *,
    long: bool,
    strict: bool,
    listed: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Try the TFTP server at tftp://HOST[:PORT] clause by clause.

    \b
    snowowl conformance tftp://HOST --read pxelinux.0
    snowowl conformance tftp://HOST --read file --write 'up-{}' --long
    snowowl conformance --list
    """  # noqa: D301 - as in `main`
    from snowowl.testing.conformance import Settings, all_cases, choose

    if json_file is not None and json_file.lower().startswith(_SCHEME):
        raise click.UsageError("--json took the URL for its FILE: say --json=FILE, or put it last")
    for pattern in (*only, *skip):
        if not choose(all_cases(), only=[pattern], long=True):
            raise click.UsageError(f"no case matches {pattern!r}: see --list")
    cases = choose(all_cases(), only=only, skip=skip, long=long)
    if listed:
        _list(choose(all_cases(), only=only, skip=skip, long=True), json_file)
        return
    if not cases:
        raise click.UsageError("no case is left to run")
    place = _place(url)
    if not read:
        raise click.UsageError("name a file on the server that may be read: --read NAME")
    for name in (read, write or "-"):
        if len(os.fsencode(name)) > NAME_MAX:
            raise click.UsageError(f"a name has {NAME_MAX} octets at most")
    _check_files(json_file, junit)
    settings = Settings(patience=timeout, jobs=jobs, total_seconds=limit)
    report = _run(place, (read, write), cases, settings, quiet=quiet)
    shown = f"{_SCHEME}{place.server}"
    if json_file != "-":
        _show(shown, report, verbose=verbose, quiet=quiet, strict=strict)
    _write(shown, report, json_file, junit, strict=strict)
    sys.exit(_exit_code(report, strict=strict))


def _exit_code(report: Report, *, strict: bool) -> int:
    if report.stopped == _INTERRUPTED:
        return EXIT_INTERRUPTED
    if report.findings(strict=strict) or report.died_in:
        return EXIT_FOUND
    return EXIT_CANNOT_RUN if report.stopped else 0


def _place(url: str | None) -> Place:
    from snowowl.client import parse_url

    if not url:
        raise click.UsageError("name a server: tftp://HOST[:PORT]")
    base = url.rstrip("/")
    if not base.lower().startswith(_SCHEME) or "/" in base[len(_SCHEME) :]:
        raise click.UsageError(f"{url!r} is not of the form tftp://HOST[:PORT]")
    try:
        return parse_url(f"{base}/-")
    except ValueError as error:
        raise click.UsageError(str(error).replace("/-'", "'")) from error


def _list(cases: list[Case], json_file: str | None) -> None:
    from snowowl.cli.conformance_table import console_of_stdout, show_cases

    if json_file is None:
        show_cases(console_of_stdout(), cases)
        return
    listed = [
        {
            "id": case.id,
            "chapter": case.chapter,
            "clause": case.clause,
            "level": case.level.value,
            "requirement": case.text,
            "needs": list(case.needs),
            "long": case.long,
        }
        for case in cases
    ]
    _put(json_file, json.dumps(listed, indent=2) + "\n")


# Running.


def _run(
    place: Place,
    names: tuple[str, str | None],
    cases: list[Case],
    settings: Settings,
    *,
    quiet: bool,
) -> Report:
    """Run all; end the program if that cannot be done."""
    import trio

    from snowowl.observe.words import printable
    from snowowl.testing.conformance import CannotRunError

    try:
        return trio.run(_run_each, place, names, cases, settings, quiet)
    except CannotRunError as error:
        _fail(printable(f"{place.server}: {error}"))
    except KeyboardInterrupt:  # so early that nothing has begun
        click.echo("snowowl: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)


async def _run_each(
    place: Place,
    names: tuple[str, str | None],
    cases: list[Case],
    settings: Settings,
    quiet: bool,
) -> Report:
    """Run on the first of the host's addresses where anybody listens."""
    from contextlib import closing

    from snowowl.client.errors import ClientError
    from snowowl.client.session import server_addresses
    from snowowl.datagram.system import SystemNetwork
    from snowowl.testing.conformance import CannotRunError, Target
    from snowowl.testing.conformance.verdicts import NobodyListensError

    try:
        addresses = [address for _, address in await server_addresses(place)]
    except ClientError as error:
        raise CannotRunError(str(error)) from error
    read, write = (None if name is None else os.fsencode(name) for name in names)
    assert read is not None, "the command asks for it"
    with closing(SystemNetwork()) as network:
        for address in addresses:
            target = Target(address=address, read=read, write=write)
            try:
                return await _run_shown(network, target, cases, settings, quiet)
            except NobodyListensError:
                if address is addresses[-1]:
                    raise
    raise CannotRunError("the host has no address")


async def _run_shown(
    network: SystemNetwork, target: Target, cases: list[Case], settings: Settings, quiet: bool
) -> Report:
    import trio

    from snowowl.testing.conformance import CannotRunError, Runner

    failure: CannotRunError | None = None
    done = 0
    running: dict[str, None] = {}

    def tell(case_id: str, result: Result | None) -> None:
        nonlocal done
        if result is None:
            running[case_id] = None
        else:
            running.pop(case_id, None)
            done = len(runner.report.results)

    runner = Runner(network, target, cases, settings, tell=tell)

    async def break_off(signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            runner.stop(_INTERRUPTED)

    async def show() -> None:
        with _display(len(cases)) as refresh:
            while True:
                refresh(done, list(running))
                await trio.sleep(SHOW_SECONDS)

    with trio.open_signal_receiver(*ending_signals()) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(break_off, signals)
            if not quiet and _is_terminal():
                nursery.start_soon(show)
            try:
                await runner.run()
            except CannotRunError as error:  # not through the nursery, which would wrap it
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return runner.report


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def _display(total: int) -> Iterator[Callable[[int, list[str]], None]]:
    """Give a function that shows how far a run is; what it shows is gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True
    ) as progress:
        bar = progress.add_task("", total=total, text="learning what the server does")

        def refresh(done: int, running: list[str]) -> None:
            if done or running:
                progress.update(bar, completed=done, text=", ".join(running))
            progress.refresh()

        yield refresh


# What comes out.


def _write(
    url: str, report: Report, json_file: str | None, junit_file: str | None, *, strict: bool
) -> None:
    from snowowl.testing.conformance.junit import junit

    if json_file is not None:
        document = {"url": url, "strict": strict, **report.as_dict()}
        _put(json_file, json.dumps(document, indent=2) + "\n")
    if junit_file is not None:
        _put(junit_file, junit(report, url, strict=strict))


def _check_files(*files: str | None) -> None:
    """End the program if a file cannot be written: a run of half an hour would be lost."""
    for file in files:
        if file is None or file == "-":
            continue
        path = Path(file)
        is_new = not path.exists()
        try:
            with path.open("ab"):
                pass
            if is_new:  # no empty file stays where a run cannot begin
                path.unlink()
        except OSError as error:
            _fail(f"cannot write {click.format_filename(file)}: {error.strerror}")


def _put(file: str, text: str) -> None:
    if file == "-":
        click.echo(text, nl=False)
        return
    try:
        with open(file, "w", encoding="utf-8") as opened:  # noqa: PTH123 - `-` is no path
            opened.write(text)
    except OSError as error:
        _fail(f"cannot write {click.format_filename(file)}: {error.strerror}")


def _show(url: str, report: Report, *, verbose: bool, quiet: bool, strict: bool) -> None:
    from snowowl.cli.conformance_table import console_of_stdout, show_report, summary

    if not quiet:
        show_report(console_of_stdout(), url, report, verbose=verbose)
        return
    for result in report.findings(strict=strict):
        click.echo(f"{result.verdict.value} {result.case.id}: {result.said}")
    for line in summary(report):
        click.echo(line, err=True)


def _fail(text: str) -> NoReturn:
    click.echo(f"snowowl: {text}", err=True)
    sys.exit(EXIT_CANNOT_RUN)
