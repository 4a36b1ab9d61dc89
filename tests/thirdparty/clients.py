"""Third-party clients: how each is had, and the command of one transfer.

Packages of PyPI and npm go into the workspace; what is of Debian is used where it is installed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from tests.peers.workspace import UnusableError, run_quietly

HERE: Final = Path(__file__).resolve().parent
GO_SOURCES: Final = Path("/usr/share/gocode/src/github.com/pin/tftp")  # golang-github-pin-tftp-dev
PYPI: Final = ("tftpy", "partftpy", "tftp", "scapy")


@attrs.frozen
class Transfer:
    """One transfer to be made."""

    verb: str
    """`get` or `put`."""
    port: int
    remote: str
    local: Path
    host: str = "127.0.0.1"


@attrs.frozen
class Client:
    """A client with fixed options."""

    name: str
    command: Callable[[Transfer], list[str]]
    puts: bool = True
    environment: dict[str, str] = attrs.Factory(dict)


@attrs.frozen
class Family:
    """Clients of one package; `make` raises `UnusableError` if it cannot be had."""

    name: str
    make: Callable[[Path], list[Client]]


def _python(name: str, *variants: str) -> Family:
    def make(folder: Path) -> list[Client]:
        python = folder / "pypi" / "bin" / "python"
        if not python.exists():
            run_quietly([sys.executable, "-m", "venv", str(folder / "pypi")], folder)
            run_quietly([str(python), "-m", "pip", "install", "-q", *PYPI], folder)

        def client(options: str) -> Client:
            def command(transfer: Transfer) -> list[str]:
                script = str(HERE / "python_clients.py")
                return [*(str(python), script, name), *_words(transfer), options]

            return Client(f"{name} {options}" if options != "-" else name, command)

        return [client(options) for options in variants]

    return Family(name, make)


def _words(transfer: Transfer) -> list[str]:
    port, local = str(transfer.port), str(transfer.local)
    return [transfer.verb, transfer.host, port, transfer.remote, local]


def _npm(folder: Path) -> list[Client]:
    node, npm = _program("node", "nodejs"), _program("npm", "npm")
    if not (folder / "node_modules" / "tftp").exists():
        run_quietly([npm, "install", "--silent", "--prefix", str(folder), "tftp"], folder)

    def client(blksize: int, windowsize: int) -> Client:
        def command(transfer: Transfer) -> list[str]:
            numbers = [str(blksize), str(windowsize)]
            return [node, str(HERE / "client.js"), *_words(transfer), *numbers]

        environment = {"NODE_PATH": str(folder / "node_modules")}
        name = f"npm tftp blksize={blksize},windowsize={windowsize}"
        return Client(name, command, environment=environment)

    return [client(1468, 4), client(512, 1), client(1468, 64)]


def _go(folder: Path) -> list[Client]:
    if not GO_SOURCES.exists():
        raise UnusableError("Debian's golang-github-pin-tftp-dev is not installed")
    go, program = _program("go", "golang-go"), folder / "go-client"
    if not program.exists():
        home = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": str(folder / "go")}
        words = [f"{key}={value}" for key, value in home.items()]
        built = [go, "build", "-o", str(program), str(HERE / "client.go")]
        run_quietly(["env", *words, *built], folder)

    def client(blksize: int) -> Client:
        def command(transfer: Transfer) -> list[str]:
            at = f"{transfer.host}:{transfer.port}"
            files = [transfer.remote, str(transfer.local)]
            return [str(program), transfer.verb, at, *files, str(blksize)]

        return Client(f"Go pin/tftp blksize={blksize},tsize" if blksize else "Go pin/tftp", command)

    return [client(0), client(1428)]


def _erlang(folder: Path) -> list[Client]:
    del folder
    program = _program("erl", "erlang-base")

    def client(options: str, name: str) -> Client:
        def command(transfer: Transfer) -> list[str]:
            call = "read_file" if transfer.verb == "get" else "write_file"
            where = f'[{{host,"{transfer.host}"}},{{port,{transfer.port}}}{options}]'
            text = (
                f'case tftp:{call}("{transfer.remote}","{transfer.local}",{where}) of'
                " {ok,_} -> halt(0); Other -> io:format(standard_error,'~p~n',[Other]), halt(1) end."
            )
            return [program, "-noshell", "-eval", text]

        return Client(name, command)

    lone = ",{use_tsize,false},{max_tsize,infinity}"
    return [
        client(lone, "Erlang tftp"),
        client(',{"blksize","1428"},{"timeout","2"},{"tsize","0"}', "Erlang tftp, three options"),
    ]


def _perl(folder: Path) -> list[Client]:
    perl = _program("perl", "perl")
    run_quietly([perl, "-MNet::TFTP", "-e", "1"], folder)

    def client(blksize: int) -> Client:
        def command(transfer: Transfer) -> list[str]:
            return [perl, str(HERE / "client.pl"), *_words(transfer), str(blksize)]

        return Client(f"Net::TFTP blksize={blksize}", command)

    return [client(512), client(1428)]


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise UnusableError(f"{name} is not installed (Debian {package})")
    return found


FAMILIES: Final = (
    _python("tftpy", "-", "blksize=1428", "tsize=0,blksize=1428"),
    _python("partftpy", "-", "blksize=1428"),
    _python("tftp", "blksize=512", "blksize=1428,windowsize=16"),
    _python("scapy", "-"),
    Family("npm", _npm),
    Family("go", _go),
    Family("erlang", _erlang),
    Family("perl", _perl),
)
