"""Uploads: from the payload of DATA to a file that is durable and whole, or to nothing.

`store` is for the pump: it copies into memory and never waits.  Everything that may wait for a disk
is awaited and runs in a thread that is waited for, whatever is cancelled; so after any cancellation
the sink is as it was before the call or as it is after it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import trio

from snowowl.content.errors import ContentError, from_os_error
from snowowl.content.temporary import Temporary
from snowowl.wire.constants import HEADER_SIZE, ErrorCode
from snowowl.wire.netascii import Decoder

HIGH_WATER: Final = 1 << 20
"""Octets in memory at which an upload must stop acknowledging: one thread hop (about 60 us) then
writes so much that it costs nothing beside the writing, and 1000 uploads that stall on a disk hold
1 GiB, not more."""

Buffer = bytes | bytearray | memoryview


class Sink:
    """One upload.  Made by `Store.create`; an async context manager that discards at its end.

    For one task, but for `store`, which may be called while another method is awaited.
    """

    def __init__(
        self,
        temporary: Temporary,
        limiter: trio.CapacityLimiter,
        *,
        netascii: bool,
        overwrite: bool,
        size_max: int,
        label: str,
    ) -> None:
        self.octets = 0
        self._temporary = temporary
        self._limiter = limiter
        self._decoder = Decoder() if netascii else None
        self._overwrite = overwrite
        self._size_max = size_max
        self._label = label
        self._buffer = bytearray()
        self._writing = 0  # octets that a thread is writing
        self._lock = trio.Lock()  # of the temporary file: one thread at a time
        self._failure: ContentError | None = None
        self._committed = False
        self._discarded = False

    @property
    def pending(self) -> int:
        """Octets of the file in memory that are not written yet."""
        return len(self._buffer) + self._writing

    @property
    def full(self) -> bool:
        """Whether to stop acknowledging until a flush has made room."""
        return len(self._buffer) + self._writing >= HIGH_WATER

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Copy the payload of `count` DATA datagrams that lie `stride` octets apart in `data`.

        The last may be shorter.  Never blocks.  Raises ContentError beyond the largest size that
        uploads may have (code 3), counted on the wire; and again what an earlier write failed of.
        """
        if self._failure is not None:
            raise self._failure
        view = memoryview(data)
        payload = b"".join(
            [
                view[start + HEADER_SIZE : start + stride]
                for start in range(0, stride * count, stride)
            ]
        )
        if self.octets + len(payload) > self._size_max:
            raise ContentError(
                ErrorCode.DISK_FULL,
                "disk full or allocation exceeded",
                f"{self._label}: more than {self._size_max} octets",
            )
        self.octets += len(payload)
        self._buffer += payload if self._decoder is None else self._decoder.decode(payload)

    async def flush(self) -> None:
        """Write what is pending.  Raises ContentError, then and from then on.

        `store` may be called meanwhile, so some may be pending again afterwards.
        """
        async with self._lock:
            self._raise_if_over()
            if self._buffer:
                await self._write(self._temporary.write)

    async def commit(self) -> None:
        """Write the rest, make the file durable, and only then give it its name.  Idempotent.

        After success the file is there, whole, whatever happens to the machine.  Raises
        ContentError: code 6 if the name is taken and may not be overwritten.  Nothing partial is
        visible then, and `discard` removes what there is.
        """
        async with self._lock:
            if self._committed:
                return
            self._raise_if_over()
            if self._decoder is not None:
                self._buffer += self._decoder.finish()
            await self._write(self._finish)
            self._committed = True

    async def discard(self) -> None:
        """Leave no trace of an upload that is not committed.  Idempotent; not to be cancelled."""
        with trio.CancelScope(shield=True):
            async with self._lock:
                if self._committed or self._discarded:
                    return
                self._discarded = True
                self._buffer = bytearray()
                # Also the closing of a file may take long: its blocks are freed.
                try:
                    await trio.to_thread.run_sync(
                        self._temporary.close, abandon_on_cancel=False, limiter=self._limiter
                    )
                except RuntimeError:  # no thread can be started: better a pause than a leak
                    self._temporary.close()

    async def __aenter__(self) -> Self:
        """Return the sink.  No checkpoint: a cancellation here would leave the file behind."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.discard()

    def _raise_if_over(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._discarded:
            raise ContentError(ErrorCode.NOT_DEFINED, "upload was given up", self._label)

    async def _write(self, function: Callable[[memoryview], None]) -> None:
        """Have a thread do this with what is pending.  Raises ContentError."""
        buffer, self._buffer = self._buffer, bytearray()
        self._writing = len(buffer)
        try:
            await trio.to_thread.run_sync(
                function, memoryview(buffer), abandon_on_cancel=False, limiter=self._limiter
            )
        except trio.Cancelled:  # only while waiting for the limiter: nothing was written
            self._buffer = buffer + self._buffer
            raise
        except OSError as error:
            self._failure = from_os_error(error, self._label)
            raise self._failure from error
        finally:
            self._writing = 0

    def _finish(self, octets: memoryview) -> None:
        self._temporary.write(octets)
        self._temporary.publish(overwrite=self._overwrite)
        self._temporary.close()
