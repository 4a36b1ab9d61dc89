"""A load: many transfers at once from or to any TFTP server, every octet of them checked.

Without `expect` a first transfer, which is not measured, tells what must come.  Then the clock runs
and the clients work; then what they uploaded is read back, on its own time.
"""

from __future__ import annotations

import math
import time
from typing import Final

import trio

from snowowl.client.errors import ClientError, Reason
from snowowl.client.load_content import Content, Uploads
from snowowl.client.load_counts import Counts, Failure
from snowowl.client.load_endpoint import LoadNetwork
from snowowl.client.load_fleet import Fleet
from snowowl.client.load_jobs import Fetches, FirstFetch, Jobs, ReadBacks, Sends
from snowowl.client.load_lane import Job
from snowowl.client.load_options import LoadOptions
from snowowl.client.load_pump import pump
from snowowl.client.load_report import Report
from snowowl.client.load_sockets import Sockets, open_sockets, ports_wanted
from snowowl.client.session import server_addresses
from snowowl.client.url import Target
from snowowl.datagram.interface import Network
from snowowl.datagram.settings import Settings
from snowowl.protocol.negotiation import Terms
from snowowl.wire.constants import BLKSIZE_DEFAULT

READ_BACK: Final = "read back: "


class Load:
    """One measurement.  `report` can be had at any time, also of what was broken off."""

    def __init__(
        self, target: Target, options: LoadOptions, network: Network | None = None
    ) -> None:
        self._target = target
        self._options = options
        self._network = network
        self._scope = trio.CancelScope()
        self._content: Content | None = None
        self._uploads: Uploads | None = None
        self._fleet: Fleet | None = None
        self._sockets: Sockets | None = None
        self._sent: list[tuple[int, bytes]] = []
        """Number and name of each upload that is done."""
        self._terms: Terms | None = None
        """Of the last transfer that was done."""
        self._began = self._ended = 0.0
        self._cpu_began = self._cpu_ended = 0.0
        self._dropped = 0
        self._verified: int | None = None
        self._read_back_failures: tuple[Failure, ...] = ()
        self.stage = "starting"
        """What goes on, for people."""
        self.interrupted = False

    def stop(self) -> None:
        """Break off."""
        self.interrupted = True
        self._scope.cancel()

    async def run(self) -> None:
        """Run to the end.

        Raises ClientError if it cannot begin: the name cannot be resolved, the first transfer fails,
        there are not enough sockets.  Transfers that fail later are in the report.
        """
        options, size = self._options, self._options.upload_size
        with self._scope:
            if size is not None:
                self._uploads = Uploads(size)
            elif options.expect is not None:
                self._content = Content(options.expect)
            addresses = await server_addresses(self._target)
            while True:
                family, server = addresses.pop(0)
                try:
                    await self._load(family, server)
                    break
                except ClientError as error:
                    if error.reason is not Reason.CONNECT or not addresses:
                        raise

    async def _load(self, family: int, server: bytes) -> None:
        if self._content is None and self._uploads is None:
            await self._fetch_first(family, server)
        options = self._options
        jobs = self._jobs()
        loss = options.loss_percent / 100
        ports = ports_wanted(options)
        network = self._network_for(self._windowsize())
        sockets = open_sockets(network, family, ports, loss, options.loss_seed)
        try:
            fleet = Fleet(sockets.endpoints, server, jobs, options.clients, self._job_done)
            self._fleet, self._sockets, self.stage = fleet, sockets, "measuring"
            await self._measure(fleet, sockets)
        finally:
            self._dropped = sockets.dropped()
            sockets.close()
        for failure in fleet.counts.failures.values():
            error = failure.error
            if error is not None and error.reason is Reason.CONNECT and not fleet.counts.done:
                raise error
        if self._uploads is not None and options.verify:
            await self._read_back(family, server, self._uploads)

    def _jobs(self) -> Jobs:
        if self._uploads is not None:
            return Sends(self._target, self._options, self._uploads)
        assert self._content is not None
        asked = self._options.request.blksize or BLKSIZE_DEFAULT
        self._content.image(asked if self._terms is None else self._terms.blksize)
        return Fetches(self._target, self._options, self._content)

    async def _measure(self, fleet: Fleet, sockets: Sockets) -> None:
        seconds = self._options.seconds
        self._ended = 0.0
        self._cpu_began, self._began = time.process_time(), trio.current_time()
        until = math.inf if seconds is None else self._began + seconds
        try:
            await pump(fleet, sockets.descriptors, until)
        finally:
            self._ended, self._cpu_ended = trio.current_time(), time.process_time()
            fleet.stop()

    async def _fetch_first(self, family: int, server: bytes) -> None:
        """Fetch the file once, to know what it is."""
        self.stage = "first transfer"
        jobs = FirstFetch(self._target, self._options)
        fleet = await self._run_aside(family, server, jobs, 1)
        for failure in fleet.counts.failures.values():
            assert failure.error is not None
            raise failure.error
        self._terms = jobs.reader.terms
        self._content = Content(bytes(jobs.reader.kept))

    async def _read_back(self, family: int, server: bytes, uploads: Uploads) -> None:
        self.stage = "reading back"
        self._verified = 0
        jobs = ReadBacks(self._target, self._options, uploads, self._sent)
        clients = min(self._options.clients, max(len(self._sent), 1))
        fleet = await self._run_aside(family, server, jobs, clients)
        self._verified = fleet.counts.done
        failures = fleet.counts.failures.values()
        for failure in failures:
            failure.what = READ_BACK + failure.what
        self._read_back_failures = tuple(failures)

    async def _run_aside(self, family: int, server: bytes, jobs: Jobs, clients: int) -> Fleet:
        """Run jobs that are not measured, on ports of their own."""
        network = self._network_for(self._windowsize())
        sockets = open_sockets(network, family, clients)
        try:
            fleet = Fleet(sockets.endpoints, server, jobs, clients)
            try:
                await pump(fleet, sockets.descriptors, math.inf)
            finally:
                fleet.stop()
        finally:
            sockets.close()
        return fleet

    def _windowsize(self) -> int:
        """Return the windowsize that is granted, or asked for as long as that is not known."""
        asked = self._options.request.windowsize or 1
        return asked if self._terms is None else self._terms.windowsize

    def _network_for(self, windowsize: int) -> Network:
        if self._network is not None:
            return self._network
        return LoadNetwork(Settings(rung=self._options.rung), lock_step=windowsize == 1)

    def _job_done(self, job: Job) -> None:
        self._terms = job.transfer.terms
        if self._uploads is not None and self._options.verify:
            self._sent.append((job.number, job.name))

    # What came of it.

    @property
    def done(self) -> int:
        """Transfers done up to now."""
        return 0 if self._fleet is None else self._fleet.counts.done

    @property
    def failed(self) -> int:
        """Transfers that failed up to now."""
        return 0 if self._fleet is None else self._fleet.counts.failed

    @property
    def octets(self) -> int:
        """Octets of files that were transferred up to now."""
        return 0 if self._fleet is None else self._fleet.octets

    def seconds(self, now: float) -> float:
        """Return for how long the clients have been at work."""
        return 0.0 if self._fleet is None else (self._ended or now) - self._began

    def report(self) -> Report:
        """Return what was measured; all is nothing before the clients have begun."""
        options, content = self._options, self._content
        fleet, sockets = self._fleet, self._sockets
        counts = Counts() if fleet is None else fleet.counts
        size = options.upload_size
        if content is not None:
            size = content.size
        return Report(
            upload=self._uploads is not None,
            clients=options.clients,
            sockets=0 if sockets is None else len(sockets.endpoints),
            rung=None if sockets is None else sockets.rung,
            asked=options.request.asked(options.upload_size or 0),
            granted=() if self._terms is None else self._terms.granted,
            size=size,
            digest=None if content is None else content.digest,
            seconds=self._ended - self._began,
            cpu_seconds=self._cpu_ended - self._cpu_began,
            begun=counts.begun,
            done=counts.done,
            failed=counts.failed,
            unfinished=0 if fleet is None else fleet.unfinished,
            octets=0 if fleet is None else fleet.octets,
            blocks=counts.blocks,
            latency=counts.latency,
            first_block=counts.first_block,
            requests_resent=counts.requests_resent,
            acks_resent=counts.acks_resent,
            blocks_resent=counts.blocks_resent,
            duplicates=counts.duplicates,
            out_of_order=counts.out_of_order,
            lost_on_purpose=0 if sockets is None else sockets.dropped_here(),
            dropped_by_client=self._dropped,
            verified=self._verified,
            failures=(*counts.failures.values(), *self._read_back_failures),
            interrupted=self.interrupted,
        )
