"""What another user may do, told by modes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.cli.doctor_checks.finding import Level
from snowowl.cli.doctor_checks.users import User, user_of, users
from tests.cli.doctor_checks.machines import machine, subject

OTHER = User("other", 12345, frozenset({54321}))


def status(mode: int, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o004, 0, 0, True),
        (0o440, 0, 0, False),
        (0o040, 0, 54321, True),
        (0o004, 0, 54321, False),  # the group's modes are those that count for its members
        (0o400, 12345, 0, True),
        (0o044, 12345, 54321, False),
    ],
)
def test_who_may_read(mode: int, uid: int, gid: int, *, may: bool) -> None:
    assert OTHER.may(status(mode, uid, gid), 4) == may


@given(mode=st.integers(0, 0o777), want=st.integers(1, 7))
def test_root_may_all_and_nobody_more_than_the_modes(mode: int, want: int) -> None:
    assert User("root", 0, frozenset()).may(status(mode), want)
    assert OTHER.may(status(mode), want) == (mode & want == want)


def test_an_obstacle_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "shut" / "in").mkdir(parents=True)
    (tmp_path / "shut").chmod(0o700)
    tmp_path.chmod(0o755)
    obstacle = OTHER.first_obstacle(tmp_path / "shut" / "in")
    assert obstacle is not None
    assert obstacle in (tmp_path / "shut", *tmp_path.parents)
    assert OTHER.first_obstacle(Path("/usr/bin")) is None


def test_as_whom_the_server_runs(tmp_path: Path) -> None:
    root = machine(tmp_path, euid=0)
    (finding,) = users(subject(root, server__user="nobody"))
    assert finding.level is Level.OK
    assert "becomes nobody" in finding.message
    (finding,) = users(subject(root, server__user="root"))
    assert finding.level is Level.WARN
    (finding,) = users(subject(root, server__user="no-such-user"))
    assert (finding.level, finding.advice[:7]) == (Level.FAIL, "useradd")
    (finding,) = users(subject(root, server__group="no-such-group"))
    assert (finding.level, finding.advice[:8]) == (Level.FAIL, "groupadd")
    other = machine(tmp_path, euid=4_000_000)
    (finding,) = users(subject(other))
    assert finding.message == "started as 4000000, it stays 4000000"
    (finding,) = users(subject(other, server__user="tftp"))
    assert finding.level is Level.NOTE
    assert user_of(subject(root, server__user="no-such-user")) is None


def test_root_that_cannot_become_another(tmp_path: Path) -> None:
    for mask, level in (("400", Level.FAIL), ("440", Level.FAIL), ("4c0", Level.OK)):
        at = machine(tmp_path, {"proc/self/status": f"CapEff:\t{mask}\n"}, euid=0)
        (finding,) = users(subject(at, server__user="nobody"))
        assert finding.level is level
