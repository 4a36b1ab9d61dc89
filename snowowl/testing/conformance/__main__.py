"""`python -m snowowl.testing.conformance ...`: starts `snowowl conformance ...`, and is imported by nobody.

The command lies in a layer above, which nothing here may import; so the program is run, not imported.
"""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["conformance"]
    runpy.run_module("snowowl", run_name="__main__", alter_sys=True)
