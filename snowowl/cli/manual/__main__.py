"""``python -m snowowl.cli.manual``: write man pages and completions anew, into the repository."""

from __future__ import annotations

from snowowl.cli.manual.files import SHARE, write

if __name__ == "__main__":
    write(SHARE)
