"""Uploads: from the payload of DATA to a file that is durable and whole, or to nothing.

`store` is for the pump: it copies into memory and never waits.  Everything that may wait for a disk
is awaited and runs in a thread that is waited for, whatever is cancelled; so after any cancellation
the sink is as it was before the call or as it is after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import trio

from snowowl.content.allowance import Allowance, Claim
from snowowl.content.errors import ContentError, from_os_error, too_large
from snowowl.content.temporary import Temporary
from snowowl.wire.constants import HEADER_SIZE, ErrorCode
from snowowl.wire.netascii import Decoder

FLUSH_SIZE: Final = 512 * 1024
"""Octets of an upload that are worth a trip to a thread: that costs about 80 us, the writing 150 us.
Fewer wait in memory for as long as their client pauses; `HIGH_WATER` is the bound that counts."""

HIGH_WATER: Final = 1 << 20
"""Octets in memory at which an upload must stop acknowledging: one thread hop (about 60 us) then
writes so much that it costs nothing beside the writing, and 1000 uploads that stall on a disk hold
1 GiB, not more."""

PIECES_MAX: Final = 1024
"""Pieces in memory before they are made one.  With a blksize of 8, and a datagram a call, each has
49 octets of Python to its 8 of the file, and an upload could hold six times what `HIGH_WATER`
says; so at most 48 KiB are added to it.  512 KiB in blocks of 512 octets are not made one."""

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
        folder: bytes = b"",
        tsize: int | None = None,
        claim: Claim | None = None,
    ) -> None:
        self.octets = 0
        self.stored = b""
        """The name beneath the root that the file has, once it is committed."""
        self.alert: Callable[[ContentError], None] | None = None
        """Called if others leave no place for this upload: it is over then."""
        self._folder = folder  # the part of that name before the last component, with the slash
        self._tsize = tsize
        self._claim = claim or Allowance().claim(tsize)
        self._claim.failed = self._lose
        self._claimed = -1  # octets of the file that need no new claim
        self._decoded = 0  # octets of the file so far
        self._temporary = temporary
        self._limiter = limiter
        self._decoder = Decoder() if netascii else None
        self._overwrite = overwrite
        self._size_max = size_max
        self._label = label
        self._pieces: list[bytes] = []
        self._held = 0  # octets in the pieces
        self._writing = 0  # octets that a thread is writing
        self._lock = trio.Lock()  # of the temporary file: one thread at a time
        self._failure: ContentError | None = self._claim.failure
        self._finishing = False
        self._committed = False
        self._discarded = False

    @property
    def pending(self) -> int:
        """Octets of the file in memory that are not written yet."""
        return self._held + self._writing

    @property
    def full(self) -> bool:
        """Whether to stop acknowledging until a flush has made room."""
        return self._held + self._writing >= HIGH_WATER

    @property
    def worth_writing(self) -> bool:
        """Whether so much is pending that a trip to a thread pays."""
        return self.pending >= FLUSH_SIZE

    def store(self, data: Buffer, stride: int, count: int) -> None:
        """Copy the payload of `count` DATA datagrams that lie `stride` octets apart in `data`.

        The last may be shorter.  Never blocks.  Raises ContentError beyond the largest size that
        uploads may have, counted on the wire, and beyond the quota (code 3); and again what an
        earlier write failed of.
        """
        if self._failure is not None:
            raise self._failure
        # The only copy.  The thread hands the pieces to the kernel as they are: to collect them in
        # one buffer took 0.06 us more a block in windows, and 0.7 us more in lock-step.
        payload = (
            bytes(data[HEADER_SIZE:stride])
            if count == 1
            else b"".join(
                [
                    data[start + HEADER_SIZE : start + stride]
                    for start in range(0, stride * count, stride)
                ]
            )
        )
        octets = self.octets + len(payload)
        if octets > self._size_max:
            raise too_large("size_max", f"{self._label}: more than {self._size_max} octets")
        self.octets = octets
        if self._decoder is not None:
            payload = self._decoder.decode(payload)
        decoded = self._decoded = self._decoded + len(payload)
        if decoded > self._claimed:
            self._claimed = self._claim.grow(decoded)
        self._held += len(payload)
        self._pieces.append(payload)
        if len(self._pieces) >= PIECES_MAX:
            self._pieces = [b"".join(self._pieces)]

    async def flush(self) -> None:
        """Write what is pending.  Raises ContentError, then and from then on.

        `store` may be called meanwhile, so some may be pending again afterwards.
        """
        async with self._lock:
            self._raise_if_over()
            if self._pieces:
                await self._write(self._append)

    async def commit(self) -> None:
        """Write the rest, make the file durable, and only then give it its name.  Idempotent.

        After success the file is there, whole, whatever happens to the machine.  Raises
        ContentError: code 6 if the name is taken and may not be overwritten, code 0 if this is not
        as much as was announced.  Nothing partial is visible then, and `discard` removes what there
        is.
        """
        async with self._lock:
            if self._committed:
                return
            self._raise_if_over()
            self._raise_if_not_announced()
            if self._decoder is not None:
                rest = self._decoder.finish()
                self._decoded += len(rest)
                self._held += len(rest)
                self._pieces.append(rest)
            self._finishing = True
            await self._write(self._finish)
            self._committed = True
            self.stored = self._folder + self._temporary.name
            self._claim.stored(self._decoded, replaces=self._overwrite)

    async def discard(self) -> None:
        """Let go of everything; an upload that is not committed leaves no trace.

        After `commit` it frees the file that was replaced, which can take long: answer the client
        first.  Idempotent; not to be cancelled.
        """
        with trio.CancelScope(shield=True):
            async with self._lock:
                if not self._committed:
                    self._discarded = True
                    self._pieces, self._held = [], 0
                if not self._temporary.is_open:
                    self._claim.close()
                    return
                # Also the closing of a file may take long: its blocks are freed.
                try:
                    await trio.to_thread.run_sync(
                        self._temporary.close, abandon_on_cancel=False, limiter=self._limiter
                    )
                except RuntimeError:  # no thread can be started: better a pause than a leak
                    self._temporary.close()
                self._claim.close()

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

    def _raise_if_not_announced(self) -> None:
        """Compare what came with what was announced.

        Not in netascii, where some count what is in their file, others what they send.  0 is how
        some say that they do not know.  Some have but 32 bits for it.
        """
        if self._decoder is None and self._tsize and (self.octets - self._tsize) % (1 << 32):
            self._failure = ContentError(
                ErrorCode.NOT_DEFINED,
                "upload is not of the announced size",
                f"{self._label}: {self.octets} octets came, {self._tsize} were announced",
            )
            raise self._failure

    def _lose(self, error: ContentError) -> None:
        """Fail of what others do, unless the file system is deciding it just now."""
        if self._finishing or self._failure is not None:
            return
        self._failure = error
        if self.alert is not None:
            self.alert(error)

    async def _write(self, function: Callable[[Sequence[bytes]], None]) -> None:
        """Have a thread do this with what is pending.  Raises ContentError."""
        pieces, self._pieces = self._pieces, []
        self._writing, self._held = self._held, 0
        try:
            await trio.to_thread.run_sync(
                function, pieces, abandon_on_cancel=False, limiter=self._limiter
            )
        except trio.Cancelled:  # only while waiting for the limiter: nothing was written
            self._pieces = pieces + self._pieces
            self._held += self._writing
            raise
        except OSError as error:
            self._failure = from_os_error(error, self._label)
            raise self._failure from error
        except ContentError as error:
            self._failure = error
            raise
        finally:
            self._writing = 0

    def _append(self, pieces: Sequence[bytes]) -> None:
        with self._claim.writing(self._temporary.free, self._writing):
            self._temporary.write(pieces)

    def _finish(self, pieces: Sequence[bytes]) -> None:
        self._append(pieces)
        self._temporary.publish(overwrite=self._overwrite)
        if not self._temporary.holds_replaced:
            self._temporary.close()
