"""The steps from who started the server to who serves, one by one; the kernel's part is played here.

`tests/real/test_privileges.py` has the true ones.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from snowowl.cli import serve_startup as startup
from snowowl.config import Config, ServerConfig
from snowowl.host import activation, identity, privileges
from snowowl.host.identity import Identity
from snowowl.host.privileges import PrivilegeError
from snowowl.observe.events import Event, KeyWithoutEffect, PrivilegesDropped, SafetyMissing
from snowowl.server.errors import RootError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other users")

DAEMON = Identity(1, 1, "daemon", "daemon")
KNOWN = {
    "nobody": Identity(65534, 65534, "nobody", "nogroup"),
    "root": Identity(0, 0, "root", "root"),
    "daemon": DAEMON,
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the calls leave a note and do nothing; this process is root's."""
    made: list[str] = []

    def become(wanted: Identity) -> None:
        made.append(f"become {wanted.user}:{wanted.group}")

    def find(user: str, group: str | None) -> Identity:
        if user not in KNOWN:
            raise identity.UnknownNameError(user, is_group=False)
        if group is not None:
            return Identity(KNOWN[user].uid, 77, user, group)
        return KNOWN[user]

    monkeypatch.setattr(privileges, "become", become)
    monkeypatch.setattr(privileges, "renounce", lambda: made.append("renounce"))
    monkeypatch.setattr(privileges, "verify", lambda who: made.append(f"verify {who.user}"))
    monkeypatch.setattr(privileges, "set_no_new_privileges", lambda: made.append("no_new_privs"))
    monkeypatch.setattr(identity, "find", find)
    monkeypatch.setattr(identity, "current", lambda: DAEMON)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


def give_up(user: str = "nobody", group: str | None = None) -> list[Event]:
    events: list[Event] = []
    config = Config(server=ServerConfig(user=user, group=group))
    startup.give_up_privileges(config, events.append)
    return events


def test_root_becomes_nobody_and_looks_back(calls: list[str]) -> None:
    assert give_up() == [PrivilegesDropped("nobody", "nogroup")]
    assert calls == ["become nobody:nogroup", "renounce", "verify nobody"]


def test_with_a_group(calls: list[str]) -> None:
    assert give_up("daemon", "tftp") == [PrivilegesDropped("daemon", "tftp")]
    assert calls[0] == "become daemon:tftp"


def test_root_stays_root_if_it_is_asked_to(calls: list[str]) -> None:
    (told,) = give_up("root")
    assert isinstance(told, SafetyMissing)
    assert calls == ["no_new_privs"]


def test_there_is_no_such_user(calls: list[str]) -> None:
    with pytest.raises(startup.StartError, match=r"server\.user: there is no user tftp;"):
        give_up("tftp")
    assert calls == []


def test_who_is_not_root_gives_up_capabilities(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert give_up() == []
    assert give_up("daemon") == []
    assert calls == ["renounce", "verify daemon"] * 2


def test_who_is_not_root_cannot_become_somebody_else(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    user, group = give_up("root", "tftp")
    assert isinstance(user, KeyWithoutEffect)
    assert isinstance(group, KeyWithoutEffect)
    assert user.reason.startswith("server.user: has no effect")
    assert group.reason.startswith("server.group: has no effect")
    assert "become" not in " ".join(calls)


def test_a_system_without_nobody(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It matters to root only."""
    monkeypatch.delitem(KNOWN, "nobody")
    with pytest.raises(startup.StartError):
        give_up()
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert give_up() == []


@pytest.mark.parametrize("step", ["become", "verify"])
def test_what_cannot_be_given_up_ends_it(
    step: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Identity) -> None:
        raise PrivilegeError("why")

    monkeypatch.setattr(privileges, step, fail)
    with pytest.raises(startup.StartError, match="why"):
        give_up()


def test_capabilities_that_stay_end_it(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int = errno.EPERM) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(privileges, "renounce", refuse)
    with pytest.raises(startup.StartError, match="capabilities cannot be given up"):
        give_up()
    monkeypatch.setattr(privileges, "renounce", lambda: refuse(errno.ENOSYS))  # macOS has none
    assert give_up() == [PrivilegesDropped("nobody", "nogroup")]
    assert calls[-1] == "verify nobody"


def test_a_system_without_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    (told,) = give_up()
    assert isinstance(told, SafetyMissing)


def test_the_root_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    startup.check_root(tmp_path)
    (tmp_path / "file").touch()
    for name, words in (("missing", "no such directory"), ("file", "it is not a directory")):
        with pytest.raises(RootError, match=words):
            startup.check_root(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(RootError, match=f"must be allowed to enter {tmp_path} "):
        startup.check_root(tmp_path)


def test_a_configuration_that_cannot_be_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    file = tmp_path / "snowowl.toml"
    file.touch()
    for given in (None, file):
        startup.check_file(given, events.append)
    assert events == []
    monkeypatch.setattr(os, "access", lambda path, _: path != file)
    startup.check_file(file, events.append)
    (told,) = events
    assert isinstance(told, KeyWithoutEffect)
    assert "SIGHUP" in told.reason


def test_workers_need_a_python(monkeypatch: pytest.MonkeyPatch) -> None:
    startup.check_python()
    monkeypatch.setattr(os, "access", lambda path, _: path != sys.executable)
    with pytest.raises(startup.StartError, match=r"server\.workers: user .* cannot start Python"):
        startup.check_python()


def test_sockets_are_opened_or_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(server=ServerConfig(listen=("127.0.0.1:0",)))
    with startup.take_sockets(config, 2) as listening:
        assert (len(listening.places), listening.inherited) == (2, False)
    passed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    passed.bind(("127.0.0.1", 0))
    monkeypatch.setattr(activation, "take", lambda _: [passed])
    with startup.take_sockets(config, 2) as listening:
        assert (listening.places, listening.inherited) == (((passed,),), True)

    def refuse(_: object) -> None:
        raise activation.ActivationError("the socket unit")

    monkeypatch.setattr(activation, "take", refuse)
    with pytest.raises(startup.StartError, match="the socket unit"):
        startup.take_sockets(config, 1)
