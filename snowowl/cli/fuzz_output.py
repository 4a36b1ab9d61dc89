"""Where the results of `snowowl fuzz` go: stdout, a folder of scripts, a file of JUnit XML."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from snowowl.cli import fuzz_table

if TYPE_CHECKING:
    from snowowl.testing.fuzzing.hunt import Result
    from snowowl.testing.fuzzing.trial import Conditions


@attrs.frozen(kw_only=True)
class Output:
    """What is wanted of the results."""

    folder: Path
    junit: Path | None
    as_json: bool
    quiet: bool
    command: str | None = None
    """What starts the server, if we do."""

    def say(self, url: str, result: Result, conditions: Conditions) -> None:
        """Write all that is wanted; what cannot be written is said, and the rest is written."""
        from snowowl.observe.words import printable

        files: dict[str, Path] = {}
        with _writing(self.folder):
            files = fuzz_table.write_scripts(result, conditions, self.folder)
        if self.as_json:
            click.echo(json.dumps(fuzz_table.as_json(url, result, conditions, files)))
        else:
            text = fuzz_table.table(
                printable(url),
                result,
                conditions,
                files,
                quiet=self.quiet,
                server="" if self.command is None else f" --command {shlex.quote(self.command)}",
            )
            if text:
                click.echo(text)
        if self.junit is not None:
            with _writing(self.junit):
                self.junit.write_bytes(fuzz_table.junit(url, result, conditions))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say it if something cannot be written; what was found is worth more than an end."""
    try:
        yield
    except OSError as error:
        name = click.format_filename(path)
        click.echo(f"snowowl: cannot write {name}: {error.strerror}", err=True)
