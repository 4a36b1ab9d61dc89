"""Short programs in processes of their own: what they give up, the tests' process keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
SECONDS: Final = 30.0
FIRST: Final = ""
"""Python that each program begins with: for the proof that tests can fail (`tests.security`)."""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SNOWOWL_")}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", **more}


def script(
    text: str, *arguments: str | Path, prefix: Sequence[str] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of Python; `prefix` is a command that runs it."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", FIRST + text, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(**more),
        timeout=SECONDS,
        check=False,
    )


def said(text: str, *arguments: str | Path, prefix: Sequence[str] = (), **more: str) -> list[str]:
    """Return the lines that a program prints; fail if it fails."""
    done = script(text, *arguments, prefix=prefix, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def public_folder(prefix: str = "snowowl-host-") -> Iterator[Path]:
    """Make a folder that everybody may enter and write to, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        folder.chmod(0o777)
        yield folder
    finally:
        shutil.rmtree(folder)
