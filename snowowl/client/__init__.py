"""Ring 3: the client.  `get` and `put` over the same protocol and datagram rings as the server."""

from __future__ import annotations

from snowowl.client.errors import ClientError
from snowowl.client.get import Received, get
from snowowl.client.options import ClientOptions, Progress
from snowowl.client.put import Sent, put
from snowowl.client.url import Target, parse_url

__all__ = [
    "ClientError",
    "ClientOptions",
    "Progress",
    "Received",
    "Sent",
    "Target",
    "get",
    "parse_url",
    "put",
]
