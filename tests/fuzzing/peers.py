"""Fuzz other TFTP servers and snowowl side by side: `python -m tests.fuzzing.peers [--seconds N]`.

Each server is started by its own command, fuzzed with fixed seeds, and ended.  What was found goes into
RESULTS.md beside this file, with what is known of each finding from NOTES.toml: a finding that has no
note there has not been looked at.  All of it happens on loopback.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tomllib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from snowowl.datagram.settings import Settings
from snowowl.datagram.system import SystemNetwork
from snowowl.testing.fuzzing.hunt import Found, Hunt, Plan, Result
from snowowl.testing.fuzzing.leaks import load_secret
from snowowl.testing.fuzzing.owned import running
from snowowl.testing.fuzzing.target import UnstartableError
from snowowl.testing.fuzzing.trial import Conditions, GoneError, Trial
from snowowl.testing.simnetwork import socket_address
from tests.fuzzing.results import Row, text_of
from tests.peers.servers import MAKERS, Server, snowowl
from tests.peers.workspace import UnusableError, Workspace, default_folder, fill
from tests.rungs import WAYS

HERE: Final = Path(__file__).resolve().parent
SEEDS: Final = (1, 2, 3)
READ: Final = "boot/file"
WRITE: Final = "boot/upload"
READ_OCTETS: Final = 1400
SHRINK_SECONDS: Final = 6.0
FIRST_PORT: Final = 17_300
TIDS: Final = ("shared", "own", "listen")


def workspace_at(folder: Path) -> Workspace:
    """Return a workspace with a folder to go up from, a file to overwrite, and a secret beside the root."""
    workspace = Workspace(folder)
    workspace.prepare()
    boot = workspace.root / "boot"
    boot.mkdir(exist_ok=True)
    boot.chmod(0o777)
    fill(workspace.root / READ, READ_OCTETS)
    (workspace.root / WRITE).touch()
    (workspace.root / WRITE).chmod(0o666)
    beside = workspace.folder / "root-secret"
    beside.mkdir(exist_ok=True)
    beside.chmod(0o755)
    fill(beside / "key", 600)
    return workspace


def snowowls(workspace: Workspace) -> dict[str, Server]:
    """Return snowowl in every tid mode on the three rungs, and each other way to the kernel once."""
    rungs = ("gso", "mmsg", "portable")
    pairs = [(tid, way) for tid in TIDS for way in rungs]
    pairs += [(TIDS[0], way) for way in WAYS if way not in rungs]
    made = {}
    for tid, way in pairs:
        name = f"snowowl {tid} {way}"
        made[name] = snowowl(workspace, name, config=f'{WAYS[way].toml}server.tid = "{tid}"\n')
    return made


def servers_of(workspace: Workspace, only: Sequence[str]) -> list[Server]:
    """Return the servers that can be had, and say which cannot."""
    found = []
    for name, maker in MAKERS.items():
        if only and name not in only:
            continue
        try:
            found.append(maker(workspace))
        except UnusableError as error:
            click.echo(f"left out: {name}: {error}", err=True)
    if not only or any(name.startswith("snowowl") for name in only):
        variants = snowowls(workspace)
        found += [
            server
            for name, server in variants.items()
            if not only or "snowowl" in only or name in only
        ]
    return found


async def fuzzed(
    server: Server, workspace: Workspace, seed: int, port: int, seconds: float
) -> Result:
    """Fuzz one server once."""
    port = server.fixed_port or port
    conditions = Conditions(
        read=READ.encode(),
        write=WRITE.encode() if server.uploads else None,
        secrets=(load_secret(workspace.folder / "root-secret" / "key"),),
        seed=seed,
    )
    plan = Plan(seconds=seconds, seed=seed, keep_going=True, shrink_seconds=SHRINK_SECONDS)
    with closing(SystemNetwork(Settings(rung="portable"))) as network:
        command = server.command(port, server.uploads)
        async with running(command, folder=server.folder, environment=server.environment) as target:
            address = socket_address(server.host, port)
            return await Hunt(Trial(network, address, target, conditions), plan).run()


def clean_up(workspace: Workspace) -> None:
    """Remove what uploads left in the root."""
    for path in workspace.root.rglob("snowowl-fuzz-*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def row_of(server: Server, workspace: Workspace, seconds: float, port: int) -> Row:
    """Fuzz one server with each of its seeds."""
    row = Row(server.name, server.version)
    ours = server.kind == "snowowl"
    for index, seed in enumerate(SEEDS[:1] if ours else SEEDS):
        seed += port if ours else 0  # noqa: PLW2901 - each variant plays other scripts
        try:
            result = trio.run(fuzzed, server, workspace, seed, port + index, seconds)
        except (GoneError, UnstartableError) as error:
            row.problems.append(f"seed {seed}: {error}")
            continue
        finally:
            clean_up(workspace)
        row.results.append(result)
        names = ", ".join(found.finding.name for found in result.found) or "nothing"
        click.echo(
            f"{server.name}, seed {seed}: {result.scripts} scripts, {result.datagrams} datagrams,"
            f" {result.seconds:.0f} s, {result.restarts} restarts: {names} {result.gone}",
            err=True,
        )
    return row


@attrs.frozen
class Notes:
    """What is known of findings, by server and name."""

    texts: dict[str, dict[str, str]]

    def of(self, server: str, found: Found) -> str:
        """Return the note on a finding, empty if there is none."""
        known = self.texts.get(server, {})
        fits = [key for key in known if found.finding.name.startswith(key)]
        return known[max(fits, key=len)] if fits else ""


def notes_in(path: Path) -> Notes:
    """Read the notes; raises ValueError if the file is damaged."""
    return Notes(tomllib.loads(path.read_text(encoding="utf-8")))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seconds", type=float, default=60.0, show_default=True, help="For each seed of a peer."
)
@click.option("--only", multiple=True, metavar="NAME", help="This server; `snowowl`: all its ways.")
@click.option("--work", type=click.Path(path_type=Path), help="Where servers keep their things.")
@click.option("--no-write", is_flag=True, help="Print the results, and leave RESULTS.md alone.")
def main(seconds: float, only: tuple[str, ...], work: Path | None, *, no_write: bool) -> None:
    """Fuzz all servers that can be had, and write what was found."""
    try:
        workspace = workspace_at(work or default_folder("fuzz"))
        servers = servers_of(workspace, only)
    except UnusableError as error:
        raise click.ClickException(str(error)) from error
    if not servers:
        raise click.UsageError(f"no such server: {', '.join(MAKERS)}, snowowl")
    # Whoever ends this ends the servers, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = []
    for index, server in enumerate(servers):
        mine = seconds if server.kind == "peer" else seconds / 2
        rows.append(row_of(server, workspace, mine, FIRST_PORT + index * len(SEEDS)))
    text = text_of(rows, notes_in(HERE / "NOTES.toml").of, seconds)
    if no_write or only:
        click.echo(text)
    else:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    ours = [row for row in rows if row.server.startswith("snowowl")]
    sys.exit(1 if any(row.found or row.problems for row in ours) else 0)


if __name__ == "__main__":
    main()
