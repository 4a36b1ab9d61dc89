"""Let third-party clients fetch and store with snowowl: `python -m tests.thirdparty.run --help`.

The table goes to stdout, everything else to stderr.  A client's exit code proves nothing: contents are
compared.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.peers.workspace import UnusableError, default_folder, fill
from tests.real.harness import environment, eventually, serving
from tests.thirdparty.clients import FAMILIES, Client, Transfer

TIDS: Final = ("shared", "own", "listen")
SIZES: Final = {"one": 1, "block": 512, "odd": 5000, "exact": 14_280, "large": 300_000}
"""Ends of files that clients get wrong; `exact` is ten blocks of 1428."""

SECONDS: Final = 40.0
SETTLE_SECONDS: Final = 2.0
EXIT_FAILED: Final = 1
EXIT_NOTHING: Final = 3


@attrs.frozen
class Result:
    """What came of one client with one way to choose TIDs."""

    client: str
    tid: str
    passed: int
    failures: tuple[str, ...]


def made(client: Client, transfer: Transfer) -> str:
    """Make a transfer; return what went wrong in words, nothing if nothing did."""
    try:
        done = subprocess.run(
            client.command(transfer),
            cwd=transfer.local.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            env={**environment(), **client.environment},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"does not end within {SECONDS:.0f} s"
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return (
        f"exit code {done.returncode}: {said[-1][:120] if said else ''}" if done.returncode else ""
    )


def results(client: Client, tid: str, root: Path, work: Path) -> Result:
    """Fetch and store a file of each size from a server that is started for it."""
    failures: list[str] = []
    transfers = 0
    config = f'server.tid = "{tid}"\n'
    with serving(root, "--writable", "--overwrite", "--quiet", config=config) as server:
        for verb in ("get", "put") if client.puts else ("get",):
            for name in SIZES:
                transfers += 1
                problem = _one(client, verb, name, server.port, root, work)
                failures += [f"{verb} {name}: {problem}"] if problem else []
        if missing := _missing(client, server.port, work):
            failures.append(missing)
        transfers += 1
    return Result(client.name, tid, transfers - len(failures), tuple(failures))


def _one(client: Client, verb: str, name: str, port: int, root: Path, work: Path) -> str:
    local = work / f"{name}.local"
    if verb == "get":
        local.unlink(missing_ok=True)
        problem = made(client, Transfer(verb, port, name, local))
        sent, kept = root / name, local
    else:
        target = root / f"{name}.up"
        target.unlink(missing_ok=True)
        local.write_bytes((root / name).read_bytes())
        problem = made(client, Transfer(verb, port, target.name, local))
        sent, kept = local, target
    # Net::TFTP is content before the last ACK has come.
    eventually(kept.exists, SETTLE_SECONDS)
    if not kept.exists():
        return problem or "it says all is well, and there is no file"
    if kept.read_bytes() != sent.read_bytes():
        return f"other octets ({kept.stat().st_size} of {sent.stat().st_size}). {problem}"
    return problem


def _missing(client: Client, port: int, work: Path) -> str:
    """Ask for what is not there: the client has to end, whatever it says."""
    problem = made(client, Transfer("get", port, "no-such-file", work / "no-such-file"))
    return f"get of a missing file: {problem}" if "does not end" in problem else ""


def usable(only: Sequence[str], folder: Path, err: Console) -> Iterator[Client]:
    """Yield the clients that can be had; say which cannot, and why."""
    for family in FAMILIES:
        if only and family.name not in only:
            continue
        try:
            yield from family.make(folder)
        except UnusableError as error:
            err.print(f"left out: {family.name}: {error}", style="yellow", markup=False)


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice([family.name for family in FAMILIES]),
    help="Only clients of that family.",
)  # fmt: skip
@click.option("--tid", multiple=True, type=click.Choice(TIDS), help="Only that way to choose TIDs.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_folder("thirdparty"),
    help="Where packages and files are kept.",
    show_default=True,
)
def main(only: tuple[str, ...], tid: tuple[str, ...], work: Path) -> None:
    """Let third-party clients fetch and store files with snowowl, and compare every octet.

    \b
    Exit codes: 0 all went well, 1 a transfer failed, 2 wrong usage, 3 no client can be had.
    """
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    root = work / "root"
    root.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        fill(root / name, size)
    clients = list(usable(only, work, err))
    if not clients:
        err.print("no client can be had")
        sys.exit(EXIT_NOTHING)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("client", "tid", "passed", "failed"):
        table.add_column(column, justify="right" if column in ("passed", "failed") else "left")
    failed: list[Result] = []
    for client in clients:
        for way in tid or TIDS:
            err.print(f"{client.name}, {way}", style="dim", markup=False)
            result = results(client, way, root, work)
            failed += [result] if result.failures else []
            style = "red" if result.failures else ""
            numbers = str(result.passed), str(len(result.failures))
            table.add_row(result.client, result.tid, *numbers, style=style)
    out.print(table)
    for result in failed:
        for failure in result.failures:
            out.print(f"{result.client}, {result.tid}: {failure}", markup=False, soft_wrap=True)
    sys.exit(EXIT_FAILED if failed else os.EX_OK)


if __name__ == "__main__":
    main()
