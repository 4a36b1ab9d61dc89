"""What `snowowl fuzz` shows while it is at work: a display on a terminal, lines if they are asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snowowl.testing.fuzzing.finding import Finding
    from snowowl.testing.fuzzing.hunt import Plan, Result, Tell
    from snowowl.testing.fuzzing.script import Script

SHOW_SECONDS = 0.25


@contextmanager
def telling(plan: Plan, *, quiet: bool, verbose: int) -> Iterator[Tell]:
    """Give what is told how it stands: a display on a terminal, lines if they are asked for."""
    if verbose:
        yield _Lines()
        return
    shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
    if not shown or os.environ.get("TERM") == "dumb":
        yield lambda _result, _stage: None
        return
    with _display(plan) as tell:
        yield tell


class _Lines:
    """Says each new stage and finding in a line."""

    def __init__(self) -> None:
        self._stage = ""
        self._found = 0

    def __call__(self, result: Result, stage: str) -> None:
        from snowowl.observe.words import printable

        for found in result.found[self._found :]:
            click.echo(
                f"found {printable(found.finding.name)}: {printable(found.finding.text)}",
                err=True,
            )
        self._found = len(result.found)
        if stage != self._stage:
            self._stage = stage
            click.echo(f"{result.scripts} scripts: {stage}", err=True)


def say_script(script: Script, findings: list[Finding]) -> None:
    """Say what was played, and what it showed."""
    from snowowl.observe.words import printable
    from snowowl.testing.fuzzing.replay import step_text

    text = "; ".join(step_text(step) for step in script.steps)
    names = ", ".join(finding.name for finding in findings)
    click.echo(f"  {printable(text)}{' -> ' + printable(names) if names else ''}", err=True)


@contextmanager
def _display(plan: Plan) -> Iterator[Tell]:
    """Give a function that shows how a hunt stands; what it shows is gone at the end."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}", markup=False),
    )
    total = plan.seconds if plan.examples is None else plan.examples
    with Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True
    ) as progress:
        bar = progress.add_task("starting", total=total, text="")
        shown = 0.0

        def tell(result: Result, stage: str) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown < SHOW_SECONDS:
                return
            shown = now
            rate = result.scripts / result.seconds if result.seconds else 0.0
            text = f"{result.scripts} scripts, {rate:.0f}/s, {result.datagrams} datagrams"
            text += f", {len(result.found)} found" if result.found else ""
            done = result.seconds if plan.examples is None else result.scripts
            progress.update(bar, description=stage, completed=done, text=text)
            progress.refresh()

        yield tell
