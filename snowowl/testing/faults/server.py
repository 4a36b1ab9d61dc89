"""The fault server: listens, gives each request its fault and its stage, and keeps the verdicts.

One task for each listening address, one for each transfer; none outlives `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import attrs
import trio

from snowowl.config.listen import ListenAddress
from snowowl.datagram import address
from snowowl.datagram.interface import Endpoint, Packet, Received
from snowowl.observe.events import Direction
from snowowl.server.errors import ListenError
from snowowl.testing.faults.asked import Asked, Setting
from snowowl.testing.faults.catalog import FaultError
from snowowl.testing.faults.model import Via
from snowowl.testing.faults.plan import Choice, Plan
from snowowl.testing.faults.stage import Stage
from snowowl.testing.faults.verdict import Judged
from snowowl.wire.codec import MalformedPacket, decode_request, encode_error
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, ReadRequest

TRANSFERS_MAX: Final = 100
"""Transfers at the same time: this is a tool for a few boards on a bench."""

_BUSY = encode_error(ErrorCode.NOT_DEFINED, "server is busy, try again")
_MAIL = encode_error(ErrorCode.ILLEGAL_OPERATION, "mode mail is obsolete (RFC 1350)")


@attrs.define
class _Listening:
    endpoint: Endpoint
    single: dict[bytes, Stage] = attrs.field(factory=dict)
    """Transfers that keep to this port, by peer."""


class FaultServer:
    """Serves with faults until it is cancelled."""

    def __init__(
        self,
        setting: Setting,
        plan: Plan,
        seed: int,
        *,
        judged: Callable[[Judged], None] = lambda _: None,
        warned: Callable[[str], None] = lambda _: None,
        remembers: bool = True,
    ) -> None:
        self.transfers: list[Judged] = []
        """Those that are over, as they were judged; none unless it `remembers`."""
        self.plan = plan
        self._setting = setting
        self._seed = seed
        self._tell = judged
        self._remembers = remembers
        self._warn = warned
        """Told of requests that were refused for a fault that is written wrongly."""
        self._played: dict[str, int] = {}
        self._standing: dict[bytes, tuple[bytes, Stage]] = {}
        self._stages: list[Stage] = []
        self._settled = trio.Event()

    async def run(
        self,
        listen: Sequence[ListenAddress],
        *,
        task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; hands the addresses back when requests can come in.

        Raises ListenError.
        """
        with ExitStack() as stack:
            listening: list[_Listening] = []
            for where in listen:
                try:
                    endpoint = self._setting.network.listen(where.host, where.port)
                except OSError as error:
                    raise ListenError(str(where), where.port, error) from error
                stack.callback(endpoint.close)
                listening.append(_Listening(endpoint))
            async with trio.open_nursery() as nursery:
                for one in listening:
                    nursery.start_soon(self._accept_all, one, nursery)
                task_status.started([address.text(one.endpoint.address) for one in listening])

    def settle(self) -> None:
        """Judge all transfers as they stand: their clients are known to be done."""
        for stage in self._stages:
            stage.settle()

    @property
    def running(self) -> int:
        """Return how many transfers are not judged yet."""
        return len(self._stages)

    async def wait_settled(self) -> None:
        """Wait until every transfer is judged."""
        while self._stages:
            if self._settled.is_set():
                self._settled = trio.Event()
            await self._settled.wait()
        await trio.lowlevel.checkpoint()

    async def _accept_all(self, listening: _Listening, nursery: trio.Nursery) -> None:
        endpoint = listening.endpoint
        while True:
            await endpoint.wait_readable()
            batch = endpoint.receive()
            for received in batch:
                data, stride = bytes(received.data), received.stride
                for start in range(0, len(data) or 1, stride):
                    self._accept(listening, received, data[start : start + stride], nursery)
            closed = endpoint.take_unreachable()
            if not batch and not closed:
                await trio.sleep(0.01)  # a socket error; do not spin on it
            await trio.lowlevel.checkpoint()

    def _accept(
        self, listening: _Listening, received: Received, octets: bytes, nursery: trio.Nursery
    ) -> None:
        peer = address.unmapped(received.peer)
        octets_, stage = self._standing.get(peer, (b"", None))
        try:
            request = decode_request(octets)
        except MalformedPacket as malformed:
            if stage is not None:
                stage.hear(octets, Via.LISTENING)
            elif malformed.code is not None:
                self._answer(listening, received, encode_error(malformed.code, malformed.reason))
            return
        if request.mode is Mode.MAIL:
            self._answer(listening, received, _MAIL)
            return
        if stage is not None:
            if octets == octets_ and not stage.done:
                stage.repeat()
                return
            stage.ask_anew()
        if len(self._stages) >= TRANSFERS_MAX:
            self._answer(listening, received, _BUSY)
            return
        direction = Direction.READ if isinstance(request, ReadRequest) else Direction.WRITE
        client = address.text(peer)
        try:
            choice = self.plan.choose(request.filename, direction, request.options)
        except FaultError as error:
            self._warn(f"{client}: {error}")
            self._answer(listening, received, encode_error(ErrorCode.FILE_NOT_FOUND, str(error)))
            return
        asked = Asked(
            request=request,
            octets=octets,
            filename=choice.filename,
            peer=peer,
            client=client,
            local=received.local,
            endpoint=listening.endpoint,
            origin=received.peer,
        )
        stage = self._stage(asked, choice)
        self._standing[peer] = (octets, stage)
        self._stages.append(stage)
        nursery.start_soon(self._run, stage)

    def _stage(self, asked: Asked, choice: Choice) -> Stage:
        """Make the stage for a request; the n-th play of a fault is the same with the same seed."""
        if choice.spec is None:
            return Stage(self._setting, asked, None, "")
        spec = str(choice.spec)
        count = self._played[spec] = self._played.get(spec, 0) + 1
        fault = choice.spec.make(f"{self._seed}/{spec}/{count}")
        return Stage(self._setting, asked, fault, spec)

    async def _run(self, stage: Stage) -> None:
        try:
            judged = await stage.run()
            if self._remembers:
                self.transfers.append(judged)
            self._tell(judged)
        finally:
            self._stages.remove(stage)
            if self._standing.get(stage.asked.peer, (b"", None))[1] is stage:
                del self._standing[stage.asked.peer]
            self._settled.set()

    def _answer(self, listening: _Listening, received: Received, packet: bytes) -> None:
        listening.endpoint.send([Packet(received.peer, packet, received.local)])
