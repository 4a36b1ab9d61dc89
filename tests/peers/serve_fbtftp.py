"""Start fbtftp on a folder: `python serve_fbtftp.py PORT ROOT`.

fbtftp is a library: this is the static file server of its own documentation, and no more.
"""

# mypy: allow-subclassing-any
from __future__ import annotations

import sys
from pathlib import Path

from fbtftp.base_handler import (  # type: ignore[import-not-found, unused-ignore]
    BaseHandler,
    ResponseData,
)
from fbtftp.base_server import BaseServer  # type: ignore[import-not-found, unused-ignore]

ROOT = Path(sys.argv[2])


class FileData(ResponseData):
    def __init__(self, path: Path) -> None:
        self._octets = path.stat().st_size
        self._file = path.open("rb")

    def read(self, octets: int) -> bytes:
        return self._file.read(octets)

    def size(self) -> int:
        return self._octets

    def close(self) -> None:
        self._file.close()


class Handler(BaseHandler):
    def get_response_data(self) -> FileData:
        return FileData(ROOT / self._path)


class Server(BaseServer):
    def get_handler(
        self, server: object, peer: object, path: str, options: dict[str, str]
    ) -> Handler:
        return Handler(server, peer, path, options, lambda _stats: None)


if __name__ == "__main__":
    # Address, port, retries, and the timeout in seconds of its documentation's example.
    Server("127.0.0.1", int(sys.argv[1]), 3, 5).run()
