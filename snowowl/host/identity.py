"""Users and groups by their names or numbers: who a process shall be, and who it is."""

from __future__ import annotations

import os

import attrs

try:  # Windows knows neither
    import grp
    import pwd
except ImportError:  # pragma: no cover
    _KNOWS_USERS = False
else:
    _KNOWS_USERS = True

ROOT = 0


class UnknownNameError(LookupError):
    """There is no such user or group; `is_group` says which was looked for."""

    def __init__(self, name: str, *, is_group: bool) -> None:
        super().__init__(name)
        self.name = name
        self.is_group = is_group


@attrs.frozen
class Identity:
    """A user and a group, by number and as people call them."""

    uid: int
    gid: int
    user: str
    group: str


def find(user: str, group: str | None) -> Identity:
    """Look a user and a group up; without a group it is the user's own.  Raises UnknownNameError.

    A number need not be known to the system; its group is then the group of that number.
    """
    if not _KNOWS_USERS:
        raise UnknownNameError(user, is_group=False)
    uid, gid = _find_user(user)
    if group is not None:
        gid = _find_group(group)
    return Identity(uid, gid, user_name(uid), group_name(gid))


def current() -> Identity:
    """Return who this process is."""
    uid, gid = os.geteuid(), os.getegid()
    return Identity(uid, gid, user_name(uid), group_name(gid))


def who() -> str:
    """Return for whom something failed: ``user nobody``.  BLOCKS where users are asked for afar."""
    return f"user {user_name(os.geteuid())}" if hasattr(os, "geteuid") else "this user"


def user_name(uid: int) -> str:
    """Return the name of a user, its number if it has none (or the system does not tell)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of a group, its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OSError):
        return str(gid)


def _find_user(user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, ValueError, OverflowError):
        if _is_number(user):
            return int(user), int(user)
        raise UnknownNameError(user, is_group=False) from None
    return entry.pw_uid, entry.pw_gid


def _find_group(group: str) -> int:
    try:
        entry = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    except (KeyError, ValueError, OverflowError):
        if _is_number(group):
            return int(group)
        raise UnknownNameError(group, is_group=True) from None
    return entry.gr_gid


def _is_number(text: str) -> bool:
    """Say whether it is the number of a user: the last one of 32 bits means "no change" to setresuid."""
    return text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < 0xFFFF_FFFF
