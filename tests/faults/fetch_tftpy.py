"""Run tftpy's client: `python fetch_tftpy.py get|put HOST PORT REMOTE LOCAL`."""

from __future__ import annotations

import sys

import tftpy  # type: ignore[import-not-found, import-untyped, unused-ignore]

if __name__ == "__main__":
    what, host, port, remote, local = sys.argv[1:]
    client = tftpy.TftpClient(host, int(port), {"blksize": 512, "tsize": 0})
    if what == "get":
        client.download(remote, local)
    else:
        client.upload(remote, local)
