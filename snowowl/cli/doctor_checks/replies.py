"""Do answers come back: a server in each `tid` mode, for a moment, asked through each address.

The server is the real one, on a free port, with a folder of its own: one that runs already notices
nothing.  What is between this machine and its clients cannot be seen from here.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import attrs
import trio

from snowowl.cli.doctor_checks.addresses import hosts_of
from snowowl.cli.doctor_checks.finding import Finding, Subject, fail, note, ok, warn
from snowowl.client import ClientError, ClientOptions, Target
from snowowl.client.probe import Probe, fetch
from snowowl.config import Config, LimitsConfig, LogConfig, ServerConfig, WriteConfig
from snowowl.config.listen import ListenAddress
from snowowl.server.serve import serve
from snowowl.wire.packets import Mode

Tid = Literal["shared", "own", "listen"]

TIDS: Final[tuple[Tid, ...]] = ("shared", "own", "listen")
FETCH_SECONDS: Final = 1.5
"""A fetch here takes milliseconds; a lost packet is sent again after one second."""
TOTAL_SECONDS: Final = 4.0
SMALL, LARGE = b"small", b"large"
_LARGE_SIZE: Final = 300_000


@attrs.frozen
class Reply:
    """What came of one mode at one address."""

    host: str
    tid: Tid
    fault: str = ""
    served: bool = True
    """There was a server to ask."""
    seconds: float = 0.0
    """For the small file: a round trip for the request, one for its block."""


def replies(subject: Subject) -> Iterator[Finding]:
    """Fetch through every address that is listened on, in every mode."""
    hosts: dict[str, None] = {}
    for listen in subject.config.server.addresses():
        try:
            hosts |= dict.fromkeys(hosts_of(listen, subject.machine))
        except OSError as error:
            yield note("replies", f"the addresses of {listen} cannot be told: {error.strerror}")
    try:
        with tempfile.TemporaryDirectory(prefix="snowowl-doctor-") as name:
            folder = Path(name)
            (folder / "small").write_bytes(b"snowowl")
            (folder / "large").write_bytes(os.urandom(_LARGE_SIZE))
            found = trio.run(_ask, subject.config, folder, list(hosts))
    except OSError as error:
        yield note("replies", f"no temporary folder for the self-test: {error.strerror or error}")
        return
    for host in hosts:
        yield _judge(host, [reply for reply in found if reply.host == host], subject.config)
    if any(not ipaddress.ip_address(host.partition("%")[0]).is_loopback for host in hosts):
        yield note(
            "replies",
            "asked from this machine: what is between it and its clients cannot be seen from here",
            "from where a client is: snowowl check tftp://ADDRESS/FILE",
        )


async def _ask(config: Config, folder: Path, hosts: list[str]) -> list[Reply]:
    """Ask all at once, so that the slowest decides how long it takes."""
    found: list[Reply] = []

    async def one(host: str, tid: Tid) -> None:
        found.append(await _serve_and_fetch(config, folder, host, tid))

    with trio.move_on_after(TOTAL_SECONDS):
        async with trio.open_nursery() as nursery:
            for host in hosts:
                for tid in TIDS:
                    nursery.start_soon(one, host, tid)
        # Then one by one: together they wait for each other.
        for index, reply in enumerate(found):
            if reply.tid == config.server.tid and not reply.fault:
                found[index] = await _serve_and_fetch(config, folder, reply.host, reply.tid)
    done = {(reply.host, reply.tid) for reply in found}
    late = [Reply(h, tid, "no answer") for h in hosts for tid in TIDS if (h, tid) not in done]
    return found + late


def _test_config(config: Config, folder: Path, host: str, tid: Tid) -> Config:
    """Return the configuration in what decides on replies, and in nothing else."""
    server = ServerConfig(
        root=folder,
        listen=(str(ListenAddress(host, 0)),),
        tid=tid,
        port_range=config.server.port_range,
        drain_seconds=0.0,
        landlock=False,
    )
    return Config(
        server=server,
        protocol=config.protocol,
        performance=config.performance,
        write=WriteConfig(),
        limits=LimitsConfig(),
        log=LogConfig(),
    )


async def _serve_and_fetch(config: Config, folder: Path, host: str, tid: Tid) -> Reply:
    own = _test_config(config, folder, host, tid)
    reply = Reply(host, tid, "no answer")
    try:
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(serve, own)
            port = int(address.rpartition(":")[2])
            reply = await _fetch_both(host, port, tid)
            nursery.cancel_scope.cancel()
    except* OSError as group:
        reply = Reply(host, tid, str(group.exceptions[0]), served=False)
    return reply


async def _fetch_both(host: str, port: int, tid: Tid) -> Reply:
    seconds = []
    for name in (SMALL, LARGE):
        probe = Probe()
        with trio.move_on_after(FETCH_SECONDS) as scope:
            try:
                target = Target(host, port, name, Mode.OCTET)
                await fetch(target, probe, options=ClientOptions(windowsize=16))
            except ClientError as error:
                return Reply(host, tid, str(error))
        if scope.cancelled_caught:
            return Reply(
                host, tid, f"{name.decode()} file: {probe.octets} octets came, then nothing"
            )
        seconds.append(probe.seconds)
    return Reply(host, tid, seconds=seconds[0])


def _judge(host: str, found: list[Reply], config: Config) -> Finding:
    """Sum up an address: the mode that is configured decides."""
    bad = {reply.tid: reply.fault for reply in found if reply.fault}
    chosen = config.server.tid
    if not bad:
        mine = next(reply for reply in found if reply.tid == chosen)
        took = f"{mine.seconds * 1e3:.1f} ms for a small file"
        return ok("replies", f"{host}: every tid mode answers, {chosen} in {took}")
    if unserved := next((reply for reply in found if not reply.served), None):
        return note("replies", f"{host} is not tested: {unserved.fault}")
    told = "; ".join(f"{tid}: {fault}" for tid, fault in bad.items())
    if chosen not in bad:
        return note("replies", f"{host}: {told}", f'stay with tid = "{chosen}", which works')
    if "listen" not in bad:
        return fail(
            "replies",
            f"{host}: answers from other ports do not come back ({told})",
            "serve with --single-port, or let the firewall pass server.port_range",
        )
    return warn(
        "replies",
        f"{host}: no answer comes back in any mode ({told}); asked at a port of the kernel's choice",
        "a firewall on this machine drops UDP: let the listening port in, and answers out",
    )
