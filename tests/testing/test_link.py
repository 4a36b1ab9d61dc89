"""What a link does to one datagram."""

from __future__ import annotations

import random

from snowowl.testing.link import Link


def test_a_link_says_when_each_copy_arrives() -> None:
    link = Link(delay_seconds=0.5)
    assert link.delays(random.Random(1), 100) == (0.5,)
    assert link.delays(random.Random(1), 1500) == (0.5,)
    assert link.delays(random.Random(1), 1501) == ()
    assert Link(fragments=True).delays(random.Random(1), 1501) == (0.001,)
    assert Link(loss=1.0).delays(random.Random(1), 100) == ()
    assert Link(duplication=1.0).delays(random.Random(1), 100) == (0.001, 0.001)


def test_what_is_late_is_late_within_bounds() -> None:
    link, draws = Link(reordering=0.5, late_seconds=0.005), random.Random(1)
    delays = [link.delays(draws, 100)[0] for _ in range(200)]
    assert 60 < delays.count(0.001) < 140
    assert 0.001 < max(delays) <= 0.006
