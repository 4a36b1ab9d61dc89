"""What a benchmark keeps in its workspace: files of each scenario, compiled tools."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.bench.scenarios import SCENARIOS
from tests.peers.workspace import UnusableError, Workspace, fill, run_quietly

HERE: Final = Path(__file__).resolve().parent


def sent(workspace: Workspace) -> Path:
    """Return what clients upload from: a file that no server serves."""
    return workspace.folder / "sent"


def prepare(workspace: Workspace) -> None:
    """Make the folders and the files of all scenarios; raises `UnusableError` as `Workspace` does."""
    workspace.prepare()
    for scenario in SCENARIOS:
        fill(sent(workspace) if scenario.upload else workspace.root / scenario.file, scenario.size)


def tool(workspace: Workspace, name: str) -> Path:
    """Return one of our C programs, compiled if its source is newer; may raise `UnusableError`."""
    source = HERE / f"{name}.c"
    program = workspace.folder / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise UnusableError("there is no C compiler (cc)")
    run_quietly([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], HERE)
    return program
