from __future__ import annotations

import pytest

from snowowl.protocol.actions import NOTHING, Commit, SendBlocks, SendPacket, StoreBlocks


def test_actions_compare_by_value() -> None:
    assert SendPacket(b"x") == SendPacket(b"x")
    assert SendBlocks(1, 2) != SendBlocks(1, 3)
    assert StoreBlocks(memoryview(b"abcd"), 4, 1) == StoreBlocks(b"abcd", 4, 1)
    assert Commit() == Commit()


@pytest.mark.parametrize(
    "action", [SendPacket(b"x"), SendBlocks(1, 2), StoreBlocks(b"", 4, 0), Commit()]
)
def test_actions_have_no_room_for_more(
    action: SendPacket | SendBlocks | StoreBlocks | Commit,
) -> None:
    with pytest.raises(AttributeError):
        action.hint = 1  # type: ignore[union-attr]


def test_doing_nothing_is_shared_and_cannot_be_changed() -> None:
    assert isinstance(NOTHING, tuple)
    assert not NOTHING
