"""`python -m snowowl` is `snowowl`."""

from __future__ import annotations

from snowowl.cli import main

if __name__ == "__main__":
    main(prog_name="snowowl")
