"""Access and limits: what is set and has no effect is named."""

from __future__ import annotations

import pytest

from snowowl.config import AccessConfig, LimitsConfig


@pytest.mark.parametrize(
    ("allow", "deny", "told"),
    [
        (("10.0.0.0/24",), ("10.0.0.0/8",), True),
        (("10.0.0.1",), ("10.0.0.0/24", "::/0"), True),
        (("10.0.0.0/8",), ("10.0.0.0/24",), False),
        (("fd00::/8",), ("0.0.0.0/0",), False),
        (("10.0.0.0/8",), (), False),
        ((), ("10.0.0.0/8",), False),
    ],
)
def test_what_is_allowed_in_vain(allow: tuple[str, ...], deny: tuple[str, ...], told: bool) -> None:
    keys = [key for key, _ in AccessConfig(allow=allow, deny=deny).unused()]
    assert keys == ["access.allow"] * told


def test_limits_that_are_never_met() -> None:
    assert list(LimitsConfig().unused(writes=False)) == []
    uploads = LimitsConfig(uploads_max=5)
    assert [key for key, _ in uploads.unused(writes=False)] == ["limits.uploads_max"]
    assert list(uploads.unused(writes=True)) == []
    few = LimitsConfig(transfers_max=10, client_transfers_max=11, unanswered_max=10)
    assert [key for key, _ in few.unused(writes=True)] == ["limits.client_transfers_max"]
