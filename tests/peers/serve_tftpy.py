"""Start tftpy on a folder: `python serve_tftpy.py PORT ROOT`."""

from __future__ import annotations

import sys

import tftpy  # type: ignore[import-not-found, import-untyped, unused-ignore]

if __name__ == "__main__":
    tftpy.TftpServer(sys.argv[2]).listen("127.0.0.1", int(sys.argv[1]))
