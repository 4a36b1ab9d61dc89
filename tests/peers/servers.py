"""TFTP servers to be compared with: how each is had, started, and named.

Peers are what Debian and PyPI ship.  One that is not on PATH is fetched into the workspace, never
installed: tftpd-hpa and atftpd cannot be installed together.  Options are what an administrator would
set for this load (as many transfers as there are clients); nothing makes a peer slower than it has to be.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from tests.peers.workspace import HERE, REPOSITORY, UnusableError, Workspace, run_quietly
from tests.users import STAYS

TRANSFERS: Final = 2000
"""More than any scenario has clients."""

DNSMASQ_HOST: Final = "127.0.0.69"
"""dnsmasq answers on port 69 only; an address of its own leaves the other one's port 69 alone."""


@attrs.frozen(kw_only=True)
class Server:
    """How one server is started."""

    name: str
    kind: str
    """`peer`, `limit`, `snowowl`, or `variant` of snowowl."""
    command: Callable[[int, bool], list[str]]
    """Port, and whether there will be uploads -> the command."""
    folder: Path
    host: str = "127.0.0.1"
    fixed_port: int | None = None
    uploads: bool = True
    environment: dict[str, str] = attrs.Factory(dict)
    version: str = ""
    scenarios: tuple[str, ...] | None = None
    """Keys of the scenarios that it is for; None: all."""


def _program(name: str, package: str, workspace: Workspace, sign: str) -> tuple[str, str]:
    """Find a program of Debian, or fetch its package; return its path and what it says of its version.

    `sign` is what it must say: atftpd's package also has an `in.tftpd`.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    unpacked = workspace.folder / "debian" / package
    for found in (shutil.which(name, path=path), shutil.which(name, path=f"{unpacked}/usr/sbin")):
        if found is not None:
            said = run_quietly([found, "--version" if name == "dnsmasq" else "-V"], HERE)
            if sign in said.lower():
                return found, said
    if unpacked.exists():
        raise UnusableError(f"{package} holds no {name} that is {sign}")
    downloads = workspace.folder / "debian" / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    run_quietly(["apt-get", "download", package], downloads)
    (archive,) = downloads.glob(f"{package}_*.deb")
    run_quietly(["dpkg", "-x", str(archive), str(unpacked)], downloads)
    return _program(name, package, workspace, sign)


def _number(said: str) -> str:
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else "?"


def _user() -> str:
    """Return the user that a server becomes: nobody, or who we are if we cannot change it."""
    return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def tftpd_hpa(workspace: Workspace) -> Server:
    program, said = _program("in.tftpd", "tftpd-hpa", workspace, "tftp-hpa")
    if os.getuid():
        raise UnusableError("tftpd-hpa changes its user and root: it has to be started by root")

    def command(port: int, uploads: bool) -> list[str]:
        return [
            *(program, "--foreground", "--address", f"127.0.0.1:{port}", "--user", _user()),
            *("--secure", *["--create"] * uploads, "--permissive", str(workspace.root)),
        ]

    return Server(
        name="tftpd-hpa", kind="peer", command=command, folder=workspace.root, version=_number(said)
    )


def atftpd(workspace: Workspace) -> Server:
    program, said = _program("atftpd", "atftpd", workspace, "atftp")

    def command(port: int, uploads: bool) -> list[str]:
        return [
            *(program, "--daemon", "--no-fork", "--bind-address", "127.0.0.1", "--port", str(port)),
            *("--user", f"{_user()}.nogroup" if os.getuid() == 0 else _user()),
            *("--maxthread", str(TRANSFERS), "--verbose=3", "--logfile", "-", str(workspace.root)),
        ]

    return Server(
        name="atftpd", kind="peer", command=command, folder=workspace.root, version=_number(said)
    )


def dnsmasq(workspace: Workspace, host: str = DNSMASQ_HOST) -> Server:
    program, said = _program("dnsmasq", "dnsmasq-base", workspace, "dnsmasq")
    # Without root it stays who it is; then it needs the right to port 69 by other means.
    user = ["--user=nobody", "--group=nogroup"] if os.getuid() == 0 else []

    def command(port: int, uploads: bool) -> list[str]:
        return [
            *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0"),
            *("--log-facility=-", "--quiet-tftp", "--enable-tftp", f"--tftp-root={workspace.root}"),
            *(f"--tftp-max={TRANSFERS}", f"--listen-address={host}", "--bind-interfaces"),
            *user,
        ]

    return Server(
        name="dnsmasq",
        kind="peer",
        command=command,
        folder=workspace.root,
        host=host,
        fixed_port=69,
        uploads=False,
        version=_number(said),
    )


def _pypi(name: str, workspace: Workspace) -> tuple[str, str]:
    """Return the Python of an environment that has a package, and the package's version."""
    environment = workspace.folder / "pypi" / name
    python = str(environment / "bin" / "python")
    asked = [
        python,
        "-c",
        f"from importlib.metadata import version as v; print(v({name!r}))",
    ]
    try:
        return python, run_quietly(asked, workspace.folder).strip()
    except UnusableError:
        shutil.rmtree(environment, ignore_errors=True)
    uv = shutil.which("uv")
    if uv is not None:
        run_quietly([uv, "venv", "--python", sys.executable, str(environment)], workspace.folder)
        run_quietly([uv, "pip", "install", "--python", python, name], workspace.folder)
    else:
        run_quietly([sys.executable, "-m", "venv", str(environment)], workspace.folder)
        run_quietly([python, "-m", "pip", "install", "--quiet", name], workspace.folder)
    return python, run_quietly(asked, workspace.folder).strip()


def _python_peer(name: str, workspace: Workspace, *, uploads: bool) -> Server:
    python, version = _pypi(name, workspace)
    script = str(HERE / f"serve_{name}.py")

    def command(port: int, uploads: bool) -> list[str]:
        if name == "py3tftp":
            return [python, script, "--host", "127.0.0.1", "--port", str(port)]
        return [python, script, str(port), str(workspace.root)]

    return Server(
        name=name,
        kind="peer",
        command=command,
        folder=workspace.root,
        uploads=uploads,
        version=version,
    )


def snowowl(
    workspace: Workspace,
    name: str = "snowowl",
    *,
    kind: str = "snowowl",
    config: str = "",
    tree: Path = REPOSITORY,
    scenarios: tuple[str, ...] | None = None,
) -> Server:
    """Return snowowl from a tree, with a configuration (TOML); `UnusableError` if it refuses that."""
    environment = {"PYTHONPATH": str(tree), **STAYS}
    program = [sys.executable, "-m", "snowowl"]
    configured: list[str] = []
    if config:
        file = workspace.folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.toml"
        file.write_text(config, encoding="utf-8")
        configured = ["--config", str(file)]
        checked = ["env", f"PYTHONPATH={tree}", *program, "config", "check", str(file)]
        run_quietly(checked, workspace.folder)

    def command(port: int, uploads: bool) -> list[str]:
        return [
            *(*program, "serve", *configured, "--listen", f"127.0.0.1:{port}", "--quiet"),
            *(*["--writable", "--overwrite"] * uploads, str(workspace.root)),
        ]

    return Server(
        name=name,
        kind=kind,
        command=command,
        folder=workspace.root,
        environment=environment,
        scenarios=scenarios,
    )


MAKERS: Final[dict[str, Callable[[Workspace], Server]]] = {
    "tftpd-hpa": tftpd_hpa,
    "atftpd": atftpd,
    "dnsmasq": dnsmasq,
    "fbtftp": lambda workspace: _python_peer("fbtftp", workspace, uploads=False),
    "tftpy": lambda workspace: _python_peer("tftpy", workspace, uploads=True),
    "py3tftp": lambda workspace: _python_peer("py3tftp", workspace, uploads=True),
}
"""The peers by name, in the order of tables."""
