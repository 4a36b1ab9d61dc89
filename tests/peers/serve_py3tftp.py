"""Start py3tftp on the current folder: `python serve_py3tftp.py --port PORT`.

Its own command asks for a loop that Python no longer makes by itself.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the peer's choice
import sys

from py3tftp.__main__ import main  # type: ignore[import-not-found, unused-ignore]

if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    sys.exit(main())
