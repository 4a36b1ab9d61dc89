"""What is installed for man and the shells is what the commands say now."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snowowl.cli.manual.files import SHARE, generated, write

INSTALLED = SHARE if SHARE.is_dir() else Path(sys.prefix) / "share"
"""In the repository, or where a wheel has put it."""
PAGES = [name for name in generated() if name.startswith("man/")]


@pytest.mark.parametrize("name", sorted(generated()))
def test_every_file_is_up_to_date(name: str) -> None:
    found = (INSTALLED / name).read_text(encoding="utf-8")
    assert found == generated()[name], "run `python -m snowowl.cli.manual`"


def test_nothing_else_is_there() -> None:
    if INSTALLED != SHARE:
        pytest.skip("others install there, too")
    found = {path.relative_to(SHARE).as_posix() for path in SHARE.rglob("*") if path.is_file()}
    assert found == set(generated())


def test_writing_removes_what_is_made_no_more(tmp_path: Path) -> None:
    old = tmp_path / "man" / "man1" / "snowowl-gone.1"
    old.parent.mkdir(parents=True)
    old.touch()
    write(tmp_path)
    assert not old.exists()
    assert (tmp_path / "man/man5/snowowl.toml.5").read_text(encoding="utf-8").startswith(".")


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_formatted_without_warnings(name: str, tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_text(generated()[name], encoding="utf-8")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-Kutf8", "-ww", str(page)],
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) > 20
