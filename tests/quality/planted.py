"""Every planted bug, by its name.  To run anything against one: `with planted("..."): ...`."""

from __future__ import annotations

from tests.quality import (  # noqa: F401 - they register what is in them
    planted_content,
    planted_datagram,
    planted_receiver,
    planted_sender,
    planted_server,
    planted_wire,
)
from tests.quality.planting import PLANTED, Planted, planted

__all__ = ["PLANTED", "Planted", "planted"]
