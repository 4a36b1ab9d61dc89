"""More than 65535 blocks: a generated file, and what follows the last number."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from snowowl.client.options import ClientOptions
from snowowl.testing.faults import Verdict
from snowowl.testing.faults.content import Generated
from tests.faults.world import READ, run_client

LARGEST = ClientOptions(blksize=8, windowsize=64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "verdict"),
    [
        ("0", Verdict.RECOVERED),
        ("1", Verdict.ENDED),  # in windows nothing tells it from a block that was lost
        ("error", Verdict.ENDED),
        ("silence", Verdict.ENDED),
    ],
)
async def test_what_follows_65535(autojump_clock: MockClock, to: str, verdict: Verdict) -> None:
    run = await run_client(f"rollover:to={to}", READ, LARGEST)
    assert run.verdict is verdict, run.first.why
    if verdict is Verdict.RECOVERED:
        assert run.octets is not None
        assert len(run.octets) == 65550 * 8 + 4
        assert run.octets == Generated(len(run.octets)).read(0, len(run.octets))


def test_generated_content_is_the_same_in_pieces() -> None:
    content = Generated(1003)
    whole = content.read(0, 5000)
    assert len(whole) == content.size
    for step in (1, 7, 8, 100):
        assert b"".join(content.read(at, step) for at in range(0, 1003, step)) == whole
    assert content.read(1003, 8) == b""
