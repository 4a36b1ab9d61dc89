"""Serve a folder from inside another Trio program, and fetch from it.

Run it: python examples/embed.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio

import snowowl
from snowowl.config import ServerConfig


async def main() -> None:
    """Serve one file on a free port, fetch it, stop."""
    with tempfile.TemporaryDirectory() as folder:
        await trio.Path(folder, "kernel").write_bytes(b"\x7fELF and so on")
        config = snowowl.Config(server=ServerConfig(root=Path(folder), listen=("127.0.0.1:0",)))
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(snowowl.serve, config)
            received = await snowowl.get(f"tftp://{address}/kernel")
            print(f"fetched {received.size} octets from {address}")
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
