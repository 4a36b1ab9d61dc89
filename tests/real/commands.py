"""The TFTP clients of Debian as commands: what to run for a get or a put, and what each cannot do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from tests.real.harness import Address, run


@attrs.frozen
class Client:
    """A client program with fixed options.  Its exit status proves nothing: compare contents."""

    name: str
    program: str
    package: str
    get: str
    """Words with {host}, {port}, {remote} and {local}."""
    put: str

    def require(self) -> None:
        if shutil.which(self.program) is None:
            pytest.skip(f"{self.program} is not installed (Debian package {self.package})")

    def fetch(self, to: Address, remote: str, local: Path, *, seconds: float = 30.0) -> None:
        self._run(self.get, to, remote, local, seconds)

    def store(self, to: Address, remote: str, local: Path, *, seconds: float = 30.0) -> None:
        self._run(self.put, to, remote, local, seconds)

    def _run(self, words: str, to: Address, remote: str, local: Path, seconds: float) -> None:
        self.require()
        values = {"host": to[0], "port": to[1], "remote": remote, "local": local.name}
        if self.program == "curl" and ":" in to[0]:
            values["host"] = f"[{to[0]}]"
        filled = [word.replace("%", " ").format(**values) for word in words.split()]
        # tftp-hpa exits with 0 or 1 as it pleases, atftp with 0 after an ERROR.
        run([self.program, *filled], seconds=seconds, cwd=local.parent)


def _curl(name: str, flags: str, mode: str = "") -> Client:
    url = "tftp://{host}:{port}/{remote}" + mode
    common = f"-gsS -m 60 {flags}"
    return Client(
        name, "curl", "curl", f"{common} -o {{local}} {url}", f"{common} -T {{local}} {url}"
    )


def _atftp(name: str, *options: str) -> Client:
    # A % stands for the blank that atftp wants between an option's name and its value.
    flags = " ".join(f"--option {option}" for option in options)
    end = f"-r {{remote}} -l {{local}} {flags} {{host}} {{port}}"
    return Client(name, "atftp", "atftp", f"-g {end}", f"-p {end}")


def _hpa(name: str, mode: str) -> Client:
    start = f"-m {mode} {{host}} {{port}} -c"
    return Client(
        name,
        "tftp",
        "tftp-hpa",
        f"{start} get {{remote}} {{local}}",
        f"{start} put {{local}} {{remote}}",
    )


def _busybox(name: str, flags: str) -> Client:
    end = f"{flags} -r {{remote}} -l {{local}} {{host}} {{port}}"
    return Client(name, "busybox", "busybox", f"tftp -g {end}", f"tftp -p {end}")


CURL = _curl("curl", "")
HPA = _hpa("tftp-hpa", "binary")
ATFTP = _atftp("atftp")
ATFTP_WINDOW = _atftp("atftp-windowsize", "windowsize%16")
BUSYBOX = _busybox("busybox", "")
CLIENTS: Sequence[Client] = (
    CURL,
    _curl("curl-blksize", "--tftp-blksize 1428"),
    _curl("curl-no-options", "--tftp-no-options"),
    HPA,
    ATFTP,
    _atftp("atftp-blksize", "blksize%1428"),
    ATFTP_WINDOW,
    BUSYBOX,
    _busybox("busybox-blksize", "-b 1428"),
)
LOCK_STEP_512: Sequence[Client] = (CURL, HPA, ATFTP, ATFTP_WINDOW, BUSYBOX)
"""Those that need more than 65535 blocks for 64 MiB."""

CURL_NETASCII = _curl("curl-netascii", "", ";mode=netascii")
HPA_NETASCII = _hpa("tftp-hpa-netascii", "ascii")
ATFTP_NETASCII = _atftp("atftp-netascii", "mode%netascii")
