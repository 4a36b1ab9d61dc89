"""Measure snowowl beside other TFTP servers: `python tests/bench/run.py --help`.

Only the entry: it makes the package `tests.bench` importable, wherever it is called from.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Instead of this folder, whose module names are not meant to be importable by themselves.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.bench.command import main

    main()
