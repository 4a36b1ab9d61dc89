"""What the clients of a load are to do: whose turn it is, which file, which octets."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from snowowl.client.load_content import Content, Uploads
from snowowl.client.load_lane import Job
from snowowl.client.load_options import LoadOptions
from snowowl.client.load_reader import CheckingReader, KeepingReader, Reader
from snowowl.client.url import Target
from snowowl.datagram.interface import Region
from snowowl.protocol.initiate import WriteInitiator
from snowowl.wire.codec import encode
from snowowl.wire.packets import ReadRequest, WriteRequest


class Jobs:
    """Counts what is begun, up to the number of transfers that are wanted."""

    def __init__(self, target: Target, options: LoadOptions, transfers_max: int | None) -> None:
        self._target = target
        self._options = options
        self._policy = options.request.retransmit()
        self._left = transfers_max

    def __call__(self, client: int) -> Job | None:
        """Return what a client is to do next, None if there is nothing left."""
        if self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self._job(client)

    def _job(self, client: int) -> Job | None:
        raise NotImplementedError


class _Fetches(Jobs):
    """The same file, again and again."""

    def __init__(self, target: Target, options: LoadOptions, transfers_max: int | None) -> None:
        super().__init__(target, options, transfers_max)
        self._request = ReadRequest(target.filename, target.mode, options.request.asked(0))
        self._packet = encode(self._request)

    def _job(self, client: int) -> Job | None:
        del client
        return Job(0, self._target.filename, self._reader())

    def _reader(self) -> Reader:
        raise NotImplementedError


class FirstFetch(_Fetches):
    """One transfer whose octets are kept."""

    def __init__(self, target: Target, options: LoadOptions) -> None:
        super().__init__(target, options, 1)
        self.reader = KeepingReader(self._request, self._policy)

    def _reader(self) -> Reader:
        return self.reader


class Fetches(_Fetches):
    """Transfers whose octets are compared."""

    def __init__(self, target: Target, options: LoadOptions, content: Content) -> None:
        super().__init__(target, options, options.transfers_max)
        self._content = content

    def _reader(self) -> Reader:
        return CheckingReader(self._request, self._packet, self._policy, self._content)


class Sends(Jobs):
    """Uploads, each under a name of its own in the target's folder."""

    def __init__(self, target: Target, options: LoadOptions, uploads: Uploads) -> None:
        super().__init__(target, options, options.transfers_max)
        self._uploads = uploads
        self._region = Region(uploads.octets)
        self._asked = options.request.asked(uploads.size)
        self._of_client: dict[int, int] = {}
        self._begun = 0

    def _job(self, client: int) -> Job | None:
        self._begun += 1
        n = self._of_client[client] = self._of_client.get(client, 0) + 1
        template = self._options.upload_name.encode("utf-8", "surrogateescape")
        name = template.replace(b"{client}", b"%d" % client).replace(b"{n}", b"%d" % n)
        name = self._target.filename + name
        request = WriteRequest(name, self._target.mode, self._asked)
        size = self._uploads.size
        content = self._uploads.content(self._begun)
        transfer = WriteInitiator(request, self._policy, size)
        return Job(self._begun, name, transfer, content, self._region)


class ReadBacks(Jobs):
    """What was uploaded, each file once."""

    def __init__(
        self,
        target: Target,
        options: LoadOptions,
        uploads: Uploads,
        sent: Sequence[tuple[int, bytes]],
    ) -> None:
        super().__init__(target, options, None)
        self._uploads = uploads
        self._sent = deque(sent)

    def _job(self, client: int) -> Job | None:
        del client
        if not self._sent:
            return None
        number, name = self._sent.popleft()
        request = ReadRequest(name, self._target.mode, self._options.request.asked(0))
        content = self._uploads.content(number)
        reader = CheckingReader(request, encode(request), self._policy, content)
        return Job(number, name, reader)
