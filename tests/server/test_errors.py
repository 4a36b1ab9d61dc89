"""Why a server cannot start, in words that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from snowowl.server.errors import ListenError, RootError


@pytest.mark.parametrize(
    ("number", "port", "advice"),
    [
        (errno.EACCES, 69, "CAP_NET_BIND_SERVICE"),
        (errno.EPERM, 69, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 6969, "Permission denied"),
        (errno.EADDRINUSE, 69, "another server has this port"),
        (errno.EADDRNOTAVAIL, 69, "no interface of this machine has this address"),
        (errno.ENETDOWN, 69, "Network is down"),
    ],
)
def test_an_address_that_cannot_be_listened_on(number: int, port: int, advice: str) -> None:
    reason = {errno.EACCES: "Permission denied", errno.ENETDOWN: "Network is down"}
    error = ListenError(f"*:{port}", port, OSError(number, reason.get(number, "?")))
    assert str(error).startswith(f"cannot listen on *:{port}: ")
    assert advice in str(error)
    assert (error.errno, error.listen) == (number, f"*:{port}")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOENT, "create it"),
        (errno.ENOTDIR, "it is not a directory"),
        (errno.EACCES, "must be allowed to enter"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_root_that_cannot_be_opened(number: int, advice: str) -> None:
    error = RootError(Path("/srv/tftp"), OSError(number, "Input/output error"))
    assert str(error).startswith("cannot serve /srv/tftp: ")
    assert advice in str(error)
    assert (error.errno, error.root) == (number, Path("/srv/tftp"))
