"""TFTP clients of PyPI as commands: `python python_clients.py CLIENT get|put HOST PORT REMOTE LOCAL OPTIONS`.

Runs in an environment of its own that has the packages; imports nothing of snowowl.  OPTIONS are as in
`blksize=1428,windowsize=8`, or `-` for none.
"""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"
from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

Options = Mapping[str, int]
Client = Callable[[str, str, int, str, Path, Options], None]


def run_tftpy(verb: str, host: str, port: int, remote: str, local: Path, options: Options) -> None:
    import tftpy

    client = tftpy.TftpClient(host, port, dict(options))
    if verb == "get":
        client.download(remote, str(local))
    else:
        client.upload(remote, str(local))


def run_partftpy(
    verb: str, host: str, port: int, remote: str, local: Path, options: Options
) -> None:
    from partftpy.TftpClient import TftpClient

    client = TftpClient(host, port, dict(options))
    if verb == "get":
        client.download(remote, str(local))
    else:
        client.upload(remote, str(local))


def run_tftp(verb: str, host: str, port: int, remote: str, local: Path, options: Options) -> None:
    import tftp

    client = tftp.TFTPClient(host, port, **options)
    if verb == "get":
        client.download(remote, str(local))
    else:
        client.upload(remote, str(local))


def run_scapy(verb: str, host: str, port: int, remote: str, local: Path, options: Options) -> None:
    from scapy.all import conf
    from scapy.layers.tftp import TFTP_read, TFTP_write
    from scapy.supersocket import L3RawSocket

    del options  # the automata know none
    conf.L3socket = L3RawSocket  # the usual one does not see loopback
    conf.iface = "lo"
    # An automaton sends and sniffs raw packets; without a socket of that port the kernel would tell
    # the server that nobody is there.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((host, 0))
        sport = held.getsockname()[1]
        common = {"sport": sport, "port": port, "iface": "lo"}
        if verb == "get":
            local.write_bytes(TFTP_read(remote, host, **common).run())
        else:
            TFTP_write(remote, local.read_bytes(), host, **common).run()


CLIENTS: dict[str, Client] = {
    "tftpy": run_tftpy,
    "partftpy": run_partftpy,
    "tftp": run_tftp,
    "scapy": run_scapy,
}


def main() -> None:
    name, verb, host, port, remote, local, text = sys.argv[1:]
    options = dict(word.split("=") for word in text.split(",")) if text != "-" else {}
    numbers = {key: int(value) for key, value in options.items()}
    CLIENTS[name](verb, host, int(port), remote, Path(local), numbers)


if __name__ == "__main__":
    main()
