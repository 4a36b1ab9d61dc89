"""The suite on real sockets: the whole of it in every `tid` mode on every rung, a part by default."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from snowowl.datagram.system import SystemNetwork
from snowowl.testing.conformance import Report, Settings, Target, all_cases, choose, run_suite
from snowowl.testing.simnetwork import socket_address
from tests.real.conftest import root
from tests.real.harness import Server, serving
from tests.rungs import WAYS

__all__ = ["root"]

pytestmark = pytest.mark.real

CONTENT = b"".join(b"%06d%s" % (line, (b"\n", b"\r\n", b"\rx\n")[line % 3]) for line in range(1200))
PART = ("1350-2-read", "1350-4-*", "2347-ack-0", "2348-blksize-8", "7440-window", "7440-gap*")


async def judge(server: Server, *only: str, host: str = "127.0.0.1") -> Report:
    (server.root / "file").write_bytes(CONTENT)
    with closing(SystemNetwork()) as network:
        target = Target(address=socket_address(host, server.port), read=b"file", write=b"up-{}")
        return await run_suite(network, target, choose(all_cases(), only=only), Settings(jobs=12))


def said(report: Report) -> list[tuple[str, str]]:
    return [(result.case.id, result.said) for result in report.findings(strict=True)]


@pytest.mark.parametrize(("tid", "host"), [("shared", "127.0.0.1"), ("listen", "::1")])
async def test_a_part(root: Path, tid: str, host: str) -> None:
    root.chmod(0o777)
    listen = f"[{host}]:0" if ":" in host else f"{host}:0"
    config = f'server.tid = "{tid}"\n'
    with serving(root, "--writable", listen=(listen,), config=config) as server:
        report = await judge(server, *PART, host=host)
    assert report.passed(strict=True), said(report)


@pytest.mark.slow
@pytest.mark.parametrize("tid", ["shared", "own", "listen"])
@pytest.mark.parametrize("way", WAYS)
async def test_all_of_it(root: Path, tid: str, way: str) -> None:
    root.chmod(0o777)
    config = f'server.tid = "{tid}"\n{WAYS[way].toml}'
    with serving(root, "--writable", "--overwrite", config=config) as server:
        report = await judge(server)
    assert report.passed(strict=True), said(report)
