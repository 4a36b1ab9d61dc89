"""Where peers keep their things: fetched programs, logs, served files.

One folder outside of the repository, kept between runs, so that nothing is compiled or fetched twice.
It must be on a disk and not in memory: uploads are to be synced.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import attrs

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]
SMALL: Final = "small"
"""What a server is asked for until it answers."""

SMALL_OCTETS: Final = 700
PIECE: Final = 1 << 20


class UnusableError(Exception):
    """A tool or a server cannot be had here; the message says why."""


def default_folder(name: str) -> Path:
    """Return the folder of a kind of runs, which is not in the repository."""
    return Path(tempfile.gettempdir()) / f"snowowl-{name}-{os.getuid()}"


def run_quietly(command: list[str], folder: Path) -> str:
    """Run a command and return what it printed; `UnusableError` with its last line if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnusableError(str(error)) from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UnusableError(f"{Path(command[0]).name}: {lines[-1]}")
    return done.stdout + done.stderr


@attrs.frozen
class Workspace:
    """The folder of runs."""

    folder: Path

    @property
    def root(self) -> Path:
        """Return what all servers serve."""
        return self.folder / "root"

    def prepare(self) -> None:
        """Make the folders and the files; a file that has the right size is kept.

        Raises `UnusableError` if the folder is not ours.
        """
        for folder in (self.folder, self.root, self.folder / "log"):
            folder.mkdir(parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise UnusableError(f"{self.folder} belongs to somebody else: choose another by --work")
        # Servers that give up root must reach the files, and may upload.
        self.folder.chmod(0o755)
        self.root.chmod(0o777)
        fill(self.root / SMALL, SMALL_OCTETS)

    def log(self, name: str) -> Path:
        """Return where a server's output goes."""
        return self.folder / "log" / f"{name}.log"


def fill(path: Path, size: int) -> None:
    """Make a file of that size; one that has it is kept."""
    if path.exists() and path.stat().st_size == size:
        return
    # Octets of which no two blocks are alike, so that a wrong block is seen; the same in each run.
    generator = random.Random(path.name)
    with path.open("wb") as file:
        for first in range(0, size, PIECE):
            file.write(generator.randbytes(min(PIECE, size - first)))
    path.chmod(0o644)
