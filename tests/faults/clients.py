"""Every fault against the clients of Debian and PyPI: `python -m tests.faults.clients`.

Writes a table of verdicts and what was wrong, by default to `RESULTS.md` beside this file.  Each run has
a fault server and a process of its own, on loopback; many wait side by side, so it takes some minutes
and hardly any CPU.  Clients that are not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from snowowl.observe.events import Direction
from snowowl.testing.faults import FAULTS, Judged, Spec, Verdict, every_fault, faulty_server
from tests.peers.servers import _pypi
from tests.peers.workspace import REPOSITORY, UnusableError, Workspace, default_folder
from tests.real.commands import ATFTP, BUSYBOX, CURL, HPA
from tests.real.harness import environment

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
FILE: Final = bytes(index * 7 % 251 for index in range(20_300))
"""Forty blocks of 512 octets: more than a window of 16."""

SECONDS: Final = 100.0
"""A client that runs longer hangs: curl gives up after 60 s, tftp-hpa and atftp after 25 to 30 s."""

JOBS: Final = 16
SHORT: Final = {
    Verdict.RECOVERED: "ok",
    Verdict.ENDED: "end",
    Verdict.INFORMATIONAL: "info",
    Verdict.NON_STRICT: "lax",
    Verdict.MISBEHAVED: "**BAD**",
    Verdict.NOT_REACHED: "",
    Verdict.CLEAN: "",
}


_HEAD: Final = """\
# Clients against faults

Made by `python -m tests.faults.clients` on loopback ({system}), each client as it comes.

`ok` recovered, `end` rightly gave up, `lax` not to the letter, `**BAD**` misbehaved, `info` no RFC says,
empty: there was no occasion (the client asks for no options, say), `(!)` exit status 0, and what
arrived is not the file (tftp-hpa always exits with 0), `hangs` killed after 100 s."""


@attrs.frozen
class Program:
    """A client: what to run for a get and a put."""

    name: str
    get: str
    put: str
    version: Sequence[str] = ()


@attrs.frozen
class Outcome:
    """One run."""

    client: str
    direction: Direction
    spec: Spec
    judged: Judged | None
    """None: the client asked for nothing."""
    hangs: bool
    whole: bool
    """What arrived is right."""
    status: int

    @property
    def cell(self) -> str:
        """Return what the table says."""
        if self.judged is None:
            return "?"
        text = SHORT[self.judged.verdict]
        if self.hangs:
            text += " hangs"
        if self.wrongly_content:
            text += " (!)"
        return text

    @property
    def wrongly_content(self) -> bool:
        """The client says by its exit status that all went well, and what arrived is not the file."""
        return self.status == 0 and not self.whole and self.judged is not None


def programs(workspace: Workspace) -> list[Program]:
    """Return the clients; one that cannot be had says so on stderr."""
    found = [
        Program("snowowl", *_snowowl("")),
        Program("curl", _command(CURL.program, CURL.get), _command(CURL.program, CURL.put)),
        Program("tftp-hpa", _command(HPA.program, HPA.get), _command(HPA.program, HPA.put)),
        Program("atftp", _command(ATFTP.program, ATFTP.get), _command(ATFTP.program, ATFTP.put)),
        Program(
            "atftp -w 8",
            *(
                f"atftp -{verb} -r {{remote}} -l {{local}} --option timeout%2 --option tsize%0"
                " --option blksize%512 --option windowsize%8 {host} {port}"
                for verb in "gp"
            ),
        ),
        Program(
            "busybox", *(f"busybox {_with_blksize(words)}" for words in (BUSYBOX.get, BUSYBOX.put))
        ),
    ]
    installed = [program for program in found if shutil.which(program.get.split()[0])]
    for program in found:
        if program not in installed:
            click.echo(f"{program.name}: not installed", err=True)
    try:
        python, _ = _pypi("tftpy", workspace)
    except UnusableError as error:
        click.echo(f"tftpy: {error}", err=True)
    else:
        script = Path(__file__).with_name("fetch_tftpy.py")
        words = [
            f"{python} {script} {verb} {{host}} {{port}} {{remote}} {{local}}"
            for verb in ("get", "put")
        ]
        installed.append(Program("tftpy", *words))
    return installed


def _with_blksize(words: str) -> str:
    return words.replace("tftp ", "tftp -b 500 ", 1)


def _snowowl(flags: str) -> tuple[str, str]:
    run = f"{sys.executable} -m snowowl"
    url = "tftp://{host}:{port}/{remote}"
    return f"{run} get {flags} {url} -o {{local}}", f"{run} put {flags} {{local}} {url}"


def _command(program: str, words: str) -> str:
    return f"{program} {words}"


async def run_one(program: Program, direction: Direction, spec: Spec) -> Outcome:
    """Run one client with one fault, and judge it when its process has ended."""
    with tempfile.TemporaryDirectory(prefix="snowowl-faults-") as name:
        folder = Path(name)
        reading = direction is Direction.READ
        if not reading:
            (folder / "local").write_bytes(FILE)
        async with faulty_server({"file": FILE}, spec) as server:
            values = {"host": server.host, "port": server.port}
            values |= {"remote": "file" if reading else "up", "local": "local"}
            template = program.get if reading else program.put
            words = [word.replace("%", " ").format(**values) for word in template.split()]
            with trio.move_on_after(SECONDS) as scope:
                done = await trio.run_process(
                    words,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    cwd=folder,
                    env=environment(),
                )
            await trio.sleep(0.1)  # its last datagrams
            transfers = await server.settle()
        local = folder / "local"
        arrived = local.read_bytes() if reading and local.exists() else server.uploads.get("up")
        return Outcome(
            client=program.name,
            direction=direction,
            spec=spec,
            judged=transfers[0] if transfers else None,
            hangs=scope.cancelled_caught,
            whole=arrived == FILE,
            status=-1 if scope.cancelled_caught else done.returncode,
        )


async def run_all(
    found: Sequence[Program], specs: Sequence[Spec], jobs: int, outcomes: list[Outcome]
) -> None:
    """Run everything, many at once; outcomes are there as they come."""
    limiter = trio.CapacityLimiter(jobs)
    cases = [
        (program, direction, spec)
        for spec in specs
        for direction in Direction
        for program in found
        if FAULTS[spec.name].direction in (None, direction)
    ]

    async def play(program: Program, direction: Direction, spec: Spec) -> None:
        async with limiter:
            outcomes.append(await run_one(program, direction, spec))
        if sys.stderr.isatty():
            click.echo(f"\r{len(outcomes)}/{len(cases)} ", nl=False, err=True)

    async with trio.open_nursery() as nursery:
        for case in cases:
            nursery.start_soon(play, *case)
    if sys.stderr.isatty():
        click.echo(err=True)


def report(found: Sequence[Program], outcomes: Sequence[Outcome]) -> str:
    """Return the results as Markdown."""
    lines = [_HEAD.format(system=platform.system())]
    cells = {(one.direction, str(one.spec), one.client): one for one in outcomes}
    for direction in Direction:
        names = [program.name for program in found]
        lines += ["", f"## {'Downloads' if direction is Direction.READ else 'Uploads'}", ""]
        lines += [f"| fault | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
        for spec in map(str, every_fault()):
            row = [cells.get((direction, spec, name)) for name in names]
            if any(row):
                texts = " | ".join(one.cell if one else "" for one in row)
                lines.append(f"| `{spec}` | {texts} |")
    lines += ["", "## What was wrong"]
    for program in found:
        notes = list(_notes([one for one in outcomes if one.client == program.name]))
        if notes:
            lines += ["", f"### {program.name}", "", *notes]
    return "\n".join(lines) + "\n"


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what a client did wrong, alike things once."""
    notes: dict[str, list[str]] = {}
    for one in sorted(outcomes, key=lambda one: str(one.spec)):
        if one.judged is None:
            continue
        verdict = one.judged.verdict
        if verdict in (Verdict.MISBEHAVED, Verdict.NON_STRICT) or one.hangs:
            hangs = "; hangs" if one.hangs else ""
            why = re.sub(r"ERROR \d+", "ERROR", one.judged.why)
            text = f"{verdict.value}, {one.direction.value}: {why}{hangs}"
            notes.setdefault(text, []).append(f"`{one.spec}`")
    return [f"- {text} ({', '.join(specs)})" for text, specs in sorted(notes.items())]


def main() -> int:
    """Run what was asked for; return 1 if snowowl's own client misbehaved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", help="only this one; may be repeated")
    parser.add_argument("--fault", action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=JOBS, help="clients at once")
    parser.add_argument("--out", type=Path, default=RESULTS, help="- for stdout")
    arguments = parser.parse_args()
    os.chdir(REPOSITORY)
    workspace = Workspace(default_folder("faults"))
    workspace.prepare()
    found = [
        one
        for one in programs(workspace)
        if arguments.client in (None, []) or one.name in arguments.client
    ]
    specs = [
        spec
        for spec in every_fault()
        if not arguments.fault or spec.name in arguments.fault or str(spec) in arguments.fault
    ]
    outcomes: list[Outcome] = []
    try:
        trio.run(run_all, found, specs, arguments.jobs, outcomes)
    except KeyboardInterrupt:
        click.echo(f"interrupted: {len(outcomes)} runs are reported", err=True)
    text = report(found, outcomes)
    if str(arguments.out) == "-":
        click.echo(text, nl=False)
    else:
        arguments.out.write_text(text, encoding="utf-8")
        click.echo(f"wrote {arguments.out}")
    own = [one.judged for one in outcomes if one.client == "snowowl" and one.judged is not None]
    return int(any(one.verdict is Verdict.MISBEHAVED for one in own))


if __name__ == "__main__":
    sys.exit(main())
