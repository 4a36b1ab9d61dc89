"""Where the server tells things: the audit stream's file, the address of the metrics."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok, warn
from snowowl.cli.doctor_checks.users import User, user_of
from snowowl.config.listen import ListenAddress, UnixAddress, parse_metrics_listen
from snowowl.observe.words import printable


def outputs(subject: Subject) -> Iterator[Finding]:
    """Look at what is configured; what is not needs nothing."""
    config = subject.config
    if config.audit.file is not None:
        yield _audit(config.audit.file, user_of(subject))
    if config.metrics.listen is not None:
        yield _metrics(parse_metrics_listen(config.metrics.listen), user_of(subject))


def _audit(file: Path, user: User | None) -> Finding:
    name, folder = printable(str(file)), printable(str(file.parent))
    if not file.parent.is_dir():
        return fail("audit", f"{folder} is no folder", f"mkdir -p {folder}")
    if file.exists() and not file.is_file():
        return warn("audit", f"{name} is no file", "name a file that lines may be appended to")
    if user is not None and not user.may((file if file.exists() else file.parent).stat(), 2):
        return warn(
            "audit",
            f"user {user.name} may not write {name}, and so not open it anew for logrotate",
            f"chown {user.name} {folder} and {name}",
        )
    return ok("audit", f"{name} can be written")


def _metrics(listen: ListenAddress | UnixAddress, user: User | None) -> Finding:
    if isinstance(listen, UnixAddress):
        folder = Path(listen.path).parent
        if not folder.is_dir():
            return fail("metrics", f"{folder} is no folder", f"mkdir -p {folder}")
        if user is not None and not user.may(folder.stat(), 3):
            return warn(
                "metrics",
                f"user {user.name} may not make a socket in {folder}",
                f"chown {user.name} {folder}",
            )
        return ok("metrics", f"{listen} can be made")
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            # As servers do: else connections of the last one would keep the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((listen.host, listen.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return note(
                "metrics",
                f"{listen} is taken, by a server that runs already perhaps",
                "`ss -ltnp` tells by whom; name another port in metrics.listen",
            )
        return fail("metrics", f"{listen}: {error.strerror}", "name another in metrics.listen")
    return ok("metrics", f"{listen} is free, and may be bound")
