"""Whom the server runs as, and what that user may do, told by modes without becoming it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok, warn
from snowowl.cli.doctor_checks.machine import CAP_SETGID, CAP_SETUID, Machine


@attrs.frozen
class User:
    """Who opens the files."""

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, status: os.stat_result, want: int) -> bool:
        """Say whether the modes of a file allow it: `want` is of 4 (read), 2 (write), 1 (enter).

        Root may do all.  Access lists, security modules and read-only mounts are not looked at.
        """
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return status.st_mode >> shift & want == want

    def first_obstacle(self, path: Path) -> Path | None:
        """Return the first folder on the way to `path`, its parents, that it may not enter."""
        for folder in reversed(path.parents):
            try:
                entered = self.may(folder.stat(), 1)
            except OSError:
                entered = False
            if not entered:
                return folder
        return None


def user_of(subject: Subject) -> User | None:
    """Return whom the server will run as, None if there is no such user, or no users."""
    try:
        import grp
        import pwd
    except ImportError:  # Windows
        return None
    server = subject.config.server
    try:
        if subject.machine.euid != 0:
            groups = frozenset({*os.getgroups(), os.getegid()})
            return User(_name(subject.machine.euid), subject.machine.euid, groups)
        entry = pwd.getpwnam(server.user)
        primary = entry.pw_gid if server.group is None else grp.getgrnam(server.group).gr_gid
    except KeyError:
        return None
    return User(server.user, entry.pw_uid, frozenset({primary}))


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def users(subject: Subject) -> Iterator[Finding]:
    """Say whom the server runs as."""
    server = subject.config.server
    if subject.machine.euid < 0:
        return
    user = user_of(subject)
    if subject.machine.euid != 0:
        assert user is not None
        set_otherwise = server.user not in ("nobody", user.name)
        said = f"started as {user.name}, it stays {user.name}"
        if set_otherwise:
            yield note("user", f'{said}: server.user = "{server.user}" needs a start as root')
        else:
            yield ok("user", said)
    elif user is None:
        missing = server.user if _unknown_user(server.user) else server.group
        what = "user" if _unknown_user(server.user) else "group"
        command = "useradd --system --no-create-home" if what == "user" else "groupadd --system"
        yield fail("user", f'there is no {what} "{missing}"', f"{command} {missing}")
    elif user.uid == 0:
        yield warn(
            "user",
            "started as root, it stays root",
            'set server.user to one that owns nothing: user = "nobody"',
        )
    elif subject.machine.status("CapEff") and not _may_change(subject.machine):
        yield fail(
            "user",
            f"root here has no CAP_SETUID and CAP_SETGID: it cannot become {user.name}",
            "start it as that user, or add both capabilities (--cap-add SETUID --cap-add SETGID)",
        )
    else:
        yield ok("user", f"started as root, it becomes {user.name} (uid {user.uid})")


def _may_change(machine: Machine) -> bool:
    return machine.has_capability(CAP_SETUID) and machine.has_capability(CAP_SETGID)


def _unknown_user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return True
    return False


def kind_of(mode: int) -> str:
    """Name a kind of file that is not served."""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
