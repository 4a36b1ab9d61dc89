"""Against the servers themselves: a part of the cases by default, all of them among the slow tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.differential import differences, stage
from tests.differential.catalogue import ALL
from tests.differential.run import compare
from tests.differential.steps import Case
from tests.peers.workspace import UnusableError, default_folder

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not hasattr(os, "getuid") or os.getuid() != 0, reason="servers are started as nobody: root"
    ),
]


async def check(cases: Sequence[Case], peers: Sequence[str], folder: Path) -> None:
    try:
        run = await compare(cases, peers, differences.load(), folder)
    except UnusableError as error:
        pytest.skip(str(error))
    odd = [each for each in run.judgements if not each.good]
    assert not odd, "\n".join(
        f"{each.case}, {each.peer}: {each.verdict}\n  {each.snowowl}\n  {each.theirs}"
        for each in odd
    )
    assert {each.peer for each in run.judgements} == set(peers) - set(run.missing)


async def test_the_usual_conversations_go_as_with_others_or_differ_as_listed() -> None:
    # Only what is installed: nothing is fetched for the default tests.
    peers = [name for name in stage.PEERS if stage.is_installed(name)]
    if not peers:
        pytest.skip("no peer is installed (Debian tftpd-hpa or atftpd, dnsmasq-base)")
    quick = [case for case in ALL if case.quick]
    await check(quick, peers, default_folder("differential-quick"))


@pytest.mark.slow
async def test_all_conversations_go_as_with_others_or_differ_as_listed() -> None:
    # Without the heavy ones, which take minutes and a machine that has nothing else to do.
    cases = [case for case in ALL if not case.heavy]
    await check(cases, stage.PEERS, default_folder("differential"))
