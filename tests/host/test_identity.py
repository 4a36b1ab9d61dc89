"""Names and numbers of users and groups."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.host import identity
from snowowl.host.identity import Identity, UnknownNameError, find

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other users")


def test_by_name_and_by_number() -> None:
    import pwd

    root = pwd.getpwuid(0)
    assert find("root", None) == find("0", None)
    assert (find("root", None).uid, find("root", None).gid) == (0, root.pw_gid)
    assert find("root", "12345") == Identity(0, 12345, "root", "12345")


def test_a_number_need_not_be_known() -> None:
    assert find("54321", None) == Identity(54321, 54321, "54321", "54321")


@pytest.mark.parametrize("name", ["no-such-user", "-1", "4294967295", "99999999999", "", "²"])
def test_there_is_no_such_user(name: str) -> None:
    """-1 would leave the user as it is (setresuid(2))."""
    with pytest.raises(UnknownNameError) as caught:
        find(name, None)
    assert (caught.value.name, caught.value.is_group) == (name, False)
    with pytest.raises(UnknownNameError) as caught:
        find("root", name)
    assert caught.value.is_group


@given(st.text(max_size=12))
def test_whatever_is_asked_for(name: str) -> None:
    try:
        found = find(name, None)
    except UnknownNameError:
        return
    assert 0 <= found.uid < 0xFFFF_FFFF
    assert 0 <= found.gid < 0xFFFF_FFFF


def test_who_we_are() -> None:
    ours = identity.current()
    assert (ours.uid, ours.gid) == (os.geteuid(), os.getegid())
    assert find(str(ours.uid), str(ours.gid)) == ours
