"""Who the servers that tests start run as: the tests' folders are for nobody else to enter.

Started by root, `snowowl serve` would become nobody, who may not enter pytest's folders, nor always
this Python's.  `tests/real/test_privileges.py` has the servers that do become somebody else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

IS_ROOT: Final = hasattr(os, "geteuid") and os.geteuid() == 0

STAYS: Final[Mapping[str, str]] = {"SNOWOWL_USER": "root"} if IS_ROOT else {}
"""For the environment of a server that stays who started it."""

STAYS_FLAGS: Final[tuple[str, ...]] = ("--user", "root") if IS_ROOT else ()
"""The same for its command."""

WARNING: Final = "a fault of the server would be root's"
"""Words of the line that such a server logs at its start."""
