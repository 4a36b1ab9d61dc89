"""Runs `snowowl serve` and says at its end what was imported after privileges were given up."""

from __future__ import annotations

import sys

from snowowl.cli import serve_startup
from snowowl.cli.serve import serve
from snowowl.config import Config

before: set[str] = set()
give_up = serve_startup.give_up_privileges


def note(config: Config, tell: serve_startup.Tell) -> None:
    give_up(config, tell)
    before.update(sys.modules)


if __name__ == "__main__":
    serve_startup.give_up_privileges = note
    try:
        serve(sys.argv[1:])
    finally:
        sys.stderr.write(" ".join(["late:", *sorted(set(sys.modules) - before)]) + "\n")
