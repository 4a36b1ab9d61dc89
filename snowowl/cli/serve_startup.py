"""How `snowowl serve` starts: ports are bound first, then all is given up that they needed.

| step | as |
|---|---|
| take or open the listening sockets | who started it |
| import what will be needed | who started it: the folders of this Python may be root's |
| become server.user; no capabilities, no_new_privs | |
| open the audit file and the socket of the metrics | server.user: what it opens it can open anew |
| Landlock | server.user; workers each for themselves |
| open the root, serve | server.user |

The supervisor of workers is not confined: it must start Python, for any root that a reload names.
It has no privileges either, and nothing that the network sends gets as far as to it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final

from snowowl.config import Config
from snowowl.config.model import ServerConfig
from snowowl.host import activation, identity, privileges
from snowowl.observe.events import (
    Event,
    KeyWithoutEffect,
    PrivilegesDropped,
    SafetyMissing,
)
from snowowl.server.confinement import Confinement, confine_and_tell
from snowowl.server.errors import RootError
from snowowl.server.listening import Listening, inherit, open_sockets
from snowowl.server.outputs import IMPORTS

Tell = Callable[[Event], None]

_LATE: Final = (
    "snowowl.config.overlay",
    "snowowl.config.structure",
    "snowowl.observe.log",
    "snowowl.observe.writer",
    "snowowl.server.serve",
    "snowowl.server.outputs",
    "encodings.idna",
    "ctypes",
    "fcntl",
    "json",
    "linecache",
    "traceback",
)
"""What is imported late as a rule, and might not be found any more."""

DEFAULT_USER: Final = ServerConfig().user


class StartError(Exception):
    """The server cannot start safely; the text says what to do."""


def take_sockets(config: Config, count: int) -> Listening:
    """Take the sockets that systemd has for us, or open our own.

    Raises ListenError, StartError.
    """
    try:
        sockets = activation.take(os.environ)
        return inherit(config, sockets) if sockets else open_sockets(config, count)
    except activation.ActivationError as error:
        raise StartError(str(error)) from error


def give_up_privileges(config: Config, tell: Tell) -> None:
    """Become who the configuration says, if we may.  Raises StartError."""
    for name in (*_LATE, *(IMPORTS if config.metrics.listen is not None else ())):
        import_module(name)
    if not hasattr(os, "geteuid"):
        tell(SafetyMissing("server.user: has no effect on this system, which has no such users"))
        return
    server = config.server
    try:
        wanted = identity.find(server.user, server.group)
    except identity.UnknownNameError as error:
        if os.geteuid() != identity.ROOT and server.user == DEFAULT_USER:
            wanted = identity.current()
        else:
            raise StartError(_unknown(error)) from error
    if os.geteuid() != identity.ROOT:
        _stay_unprivileged(server, wanted, tell)
    elif wanted.uid == identity.ROOT:
        _stay_root(tell)
    else:
        _become(wanted, tell)


def _unknown(error: identity.UnknownNameError) -> str:
    kind, add = ("group", "groupadd") if error.is_group else ("user", "useradd")
    return (
        f"server.{kind}: there is no {kind} {error.name}; make it ({add} --system {error.name}), or"
        f" name another {kind}"
    )


def _become(wanted: identity.Identity, tell: Tell) -> None:
    try:
        privileges.become(wanted)
    except privileges.PrivilegeError as error:
        raise StartError(str(error)) from error
    _renounce(wanted)
    tell(PrivilegesDropped(wanted.user, wanted.group))


def _stay_root(tell: Tell) -> None:
    with suppress(OSError):
        privileges.set_no_new_privileges()
    tell(
        SafetyMissing(
            'server.user is "root": a fault of the server would be root\'s; name a user that may only'
            " read what is served"
        )
    )


def _stay_unprivileged(server: ServerConfig, wanted: identity.Identity, tell: Tell) -> None:
    """Give up what systemd may have given us to bind ports."""
    ours = identity.current()
    for key, is_set, differs in (
        ("user", server.user != DEFAULT_USER, wanted.uid != ours.uid),
        ("group", server.group is not None, wanted.gid != ours.gid),
    ):
        if is_set and differs:
            tell(
                KeyWithoutEffect(
                    f"server.{key}: has no effect, only root can become somebody else; the server"
                    f" runs as user {ours.user}, group {ours.group}"
                )
            )
    _renounce(ours)


def _renounce(who: identity.Identity) -> None:
    """Give up capabilities, and see that nothing has stayed.  Raises StartError."""
    try:
        privileges.renounce()
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise StartError(f"capabilities cannot be given up: {error.strerror}") from error
        # Not Linux: there are none, and Landlock's warning names the system.
    try:
        privileges.verify(who)
    except privileges.PrivilegeError as error:
        raise StartError(str(error)) from error


def check_root(root: Path) -> None:
    """See that the folder to serve can be entered.  Raises RootError.

    Before the confinement, which hides the names of users, too.
    """
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(root, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise RootError(root, error) from error


def check_file(file: Path | None, tell: Tell) -> None:
    """Warn of a configuration that a reload will not be able to read."""
    if file is not None and not os.access(file, os.R_OK):
        tell(
            KeyWithoutEffect(
                f"{file}: {identity.who()} may not read it, so SIGHUP cannot read it anew; give it to that"
                " user's group, or let others read it"
            )
        )


def check_python() -> None:
    """See that workers can be started by who we are now.  Raises StartError."""
    for text in (sys.executable, os.__file__, __file__):
        if not os.access(text, os.R_OK):
            raise StartError(
                f"server.workers: {identity.who()} may not read {text}, and so cannot start Python; install"
                " snowowl where it may (as in /opt), let one process serve, or name another user by"
                " server.user (--user)"
            )


def confine_to(config: Config, file: Path | None, tell: Tell) -> Confinement | None:
    """Confine this process by Landlock, or tell that it is not."""
    if not is_confined(config, tell):
        return None
    return confine_and_tell(config, file, tell)


def is_confined(config: Config, tell: Tell) -> bool:
    """Say whether processes that serve are confined; tell that they are not to be."""
    if not config.server.landlock:
        tell(SafetyMissing("server.landlock is off: nothing but permissions keeps to the root"))
    return config.server.landlock
