"""The keys of `[performance]`: ways to the kernel and to files, each with a switch or a size.

A key here changes how fast octets move, never which octets: any value is safe to try.  What the
machine can do at all is found out when the server starts, and nothing here may ask for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import attrs

from snowowl.config.constraints import Range
from snowowl.config.keys import changed, doc

_BUFFER_KB_MAX = 1 << 20  # 1 GiB: SO_RCVBUF is an int of octets, and Linux doubles it
_SMALL_MAX = 65_536  # files that content keeps in memory, where there is nothing for sendfile
_FILLED_MIN = 8  # of fewer places, one datagram takes a quarter: no batch is small then

_PLATFORM = "performance.platform"
_RUNG = f"{_PLATFORM}.rung"
_BATCH_SWITCHES = (f"{_PLATFORM}.batch.enable_sendmmsg", f"{_PLATFORM}.batch.enable_recvmmsg")
_BATCH_SIZE = f"{_PLATFORM}.batch.max_batch_size"
_BATCH_TIMEOUT = f"{_PLATFORM}.batch.batch_timeout_us"
_OFFLOAD = (f"{_PLATFORM}.offload.enable_gso", f"{_PLATFORM}.offload.enable_gro")
_SENDFILES = (
    f"{_PLATFORM}.zero_copy.use_sendfile",
    f"{_PLATFORM}.zero_copy.sendfile_threshold_bytes",
    f"{_PLATFORM}.zero_copy.sendfile_blksize_min",
)
_ZEROCOPIES = (
    f"{_PLATFORM}.zero_copy.use_msg_zerocopy",
    f"{_PLATFORM}.zero_copy.msg_zerocopy_threshold_bytes",
)


@attrs.frozen(kw_only=True)
class BatchConfig:
    """The `[performance.platform.batch]` table."""

    enable_sendmmsg: bool = attrs.field(
        default=True,
        metadata=doc(
            "Send a batch of datagrams by one system call, sendmmsg. It spares most system calls"
            " when many clients are served at once, and costs a lone client next to nothing. Turn"
            " it off where a sandbox forbids the call, or to compare.",
        ),
    )
    enable_recvmmsg: bool = attrs.field(
        default=True,
        metadata=doc(
            "Receive a batch of datagrams by one system call, recvmmsg. As with sendmmsg it is many"
            " clients that gain. Turn it off where a sandbox forbids the call, or to compare.",
        ),
    )
    max_batch_size: Annotated[int, Range(1, 1024)] = attrs.field(
        default=32,  # Linux takes at most UIO_MAXIOV, 1024, in one call
        metadata=doc(
            "The most datagrams, or windows that are sent as one, in one system call. More spares"
            " calls while hundreds of clients are served at once; it costs memory (64 KiB for each,"
            " as far as they were ever full), and lets one socket keep the others waiting longer.",
        ),
    )
    batch_timeout_us: Annotated[int, Range(0, 10_000)] = attrs.field(
        default=100,
        metadata=doc(
            "How long, in microseconds, a batch may wait to fill; 0: never. Only done where a"
            " socket has max_batch_size transfers or more and its last batch was not a quarter"
            " full. Waiting makes fuller batches, and all clients wait along: 0 gives the shortest"
            " round trips, more than the default only pays where CPU time is scarce.",
        ),
    )


@attrs.frozen(kw_only=True)
class ZeroCopyConfig:
    """The `[performance.platform.zero_copy]` table."""

    use_sendfile: bool = attrs.field(
        default=False,  # 1.5 GB/s and 0.40 CPU s/GiB, from the mapping 3.0 and 0.21 (65464 octets)
        metadata=doc(
            "Send large blocks of large files by sendfile, which hands the kernel's own pages to"
            " the socket, but takes a few system calls for each block; blocks of an odd size are"
            " sent in the other ways. Where it was measured, sending from the mapped file takes half"
            " of the time: turn it on only after a comparison.",
        ),
    )
    sendfile_threshold_bytes: Annotated[int, Range(0, 1 << 30)] = attrs.field(
        default=65_536,
        metadata=doc(
            "The smallest file, in octets, that sendfile is used for. Files of up to 65536 octets"
            " are kept in memory and are never sent by it, so there is nothing to gain from less;"
            " more keeps files from it that a few blocks are the whole of.",
        ),
    )
    sendfile_blksize_min: Annotated[int, Range(8, 65464)] = attrs.field(
        default=16_384,  # RFC 2348 allows 8 to 65464
        metadata=doc(
            "The smallest block, in octets, that sendfile is used for. Below it sending from the"
            " mapped file is quicker, and it can send a whole window at once. Where the two meet"
            " depends on the CPU: measure before lowering it.",
        ),
    )
    use_msg_zerocopy: bool = attrs.field(
        default=False,
        metadata=doc(
            "Send large windows with MSG_ZEROCOPY: the network card reads the mapped file itself."
            " Each send is confirmed by a message that has to be fetched, and on loopback and many"
            " virtual cards the kernel copies all the same: try it with a fast card only. Needs"
            " enable_sendmmsg.",
        ),
    )
    msg_zerocopy_threshold_bytes: Annotated[int, Range(0, 65507)] = attrs.field(
        default=8192,  # one send is at most one UDP payload, 65507
        metadata=doc(
            "The smallest send, in octets, that MSG_ZEROCOPY is used for; a window that goes out as"
            " one is one send. The kernel takes only so many pieces in one: five blocks of 1428"
            " octets are the most, which the default leaves out, because below some 10 KB the"
            " confirmation costs more than the copy that it saves.",
        ),
    )


@attrs.frozen(kw_only=True)
class OffloadConfig:
    """The `[performance.platform.offload]` table."""

    enable_gso: bool = attrs.field(
        default=True,
        metadata=doc(
            "Hand a whole window to the kernel as one send that it cuts into datagrams (UDP_SEGMENT)."
            " Nothing spares more for clients that ask for a window; lock-step clients never get"
            " it. An interface that refuses it is noticed by itself: turn it off for a card that"
            " cuts wrongly, or to compare.",
        ),
    )
    enable_gro: bool = attrs.field(
        default=True,
        metadata=doc(
            "Let the kernel hand over the datagrams of an upload many at a time (UDP_GRO). It costs"
            " larger receive buffers, and only windowed uploads gain. Turn it off for a card that"
            " joins them wrongly, or to compare.",
        ),
    )


@attrs.frozen(kw_only=True)
class PlatformConfig:
    """The `[performance.platform]` table."""

    rung: Literal["auto", "gso", "mmsg", "portable"] = attrs.field(
        default="auto",
        metadata=doc(
            'The fastest way to the kernel that may be used: "gso" (whole windows in one send, and'
            ' batches), "mmsg" (batches), "portable" (a call for each datagram, on every system), or'
            ' "auto", the best that works here. Force a slower one to compare, or to get around a'
            " kernel or driver that does not keep its promises; it costs nothing but speed.",
        ),
    )
    poll_us: Annotated[int, Range(0, 1000)] = attrs.field(
        default=50,
        metadata=doc(
            "How long, in microseconds, to look for the next packet again and again before going to"
            " sleep; 0: never. Spares the wake-up, most of a lock-step client's round trip on a"
            " quick network, at the price of CPU time. Only done where a socket has four transfers"
            " at most, and ever more seldom while it is in vain. Set 0 where power matters.",
        ),
    )
    batch: BatchConfig = attrs.field(
        factory=BatchConfig,
        metadata=doc("Many datagrams in one system call, for many clients at once. Linux only."),
    )
    zero_copy: ZeroCopyConfig = attrs.field(
        factory=ZeroCopyConfig,
        metadata=doc("Files that reach the network without being copied. Linux only."),
    )
    offload: OffloadConfig = attrs.field(
        factory=OffloadConfig,
        metadata=doc(
            "Windows cut into datagrams, and put together, by the kernel or the network card."
            " Linux only."
        ),
    )


@attrs.frozen(kw_only=True)
class SocketsConfig:
    """The `[performance.sockets]` table."""

    recv_buffer_kb: Annotated[int, Range(4, _BUFFER_KB_MAX, zero=True)] = attrs.field(
        default=4096,  # 208 KiB, the usual default, lose requests of 250 boards that ask at once
        metadata=doc(
            "The receive buffer of each socket, in KiB; 0: the system's default. It decides how many"
            " boards may ask at the same moment without a request being lost, and is memory only"
            " while packets wait in it. Without the right to exceed it, net.core.rmem_max is the"
            " limit.",
        ),
    )
    send_buffer_kb: Annotated[int, Range(4, _BUFFER_KB_MAX, zero=True)] = attrs.field(
        default=0,
        metadata=doc(
            "The send buffer of each socket, in KiB; 0: the system's default. A larger one keeps a"
            " slow network busy while thousands are served, and lets more packets wait in line"
            " before a client gets its own. Without the right to exceed it, net.core.wmem_max is"
            " the limit.",
        ),
    )


@attrs.frozen(kw_only=True)
class FilesConfig:
    """The `[performance.files]` table."""

    read_ahead_kb: Annotated[int, Range(0, 1 << 20)] = attrs.field(
        default=4096,
        metadata=doc(
            "How far the kernel is asked to read ahead of what a transfer needs now, in KiB; 0: not"
            " at all. It is only asked for what is not in memory. More helps slow disks and network"
            " file systems; it takes page cache, and is wasted on transfers that end early.",
        ),
    )
    access_hint: Literal["normal", "sequential", "random"] = attrs.field(
        default="sequential",
        metadata=doc(
            "What the kernel is told of how a file of more than 64 KiB will be read (posix_fadvise,"
            " madvise)."
            ' "sequential" makes it read ahead further, "random" makes it leave that to'
            ' read_ahead_kb, "normal" says nothing. "random" may pay where many clients are at'
            " different places of files that do not fit into memory.",
        ),
    )


@attrs.frozen(kw_only=True)
class PerformanceConfig:
    """The `[performance]` table."""

    platform: PlatformConfig = attrs.field(
        factory=PlatformConfig,
        metadata=doc("How packets get to the kernel and back."),
    )
    sockets: SocketsConfig = attrs.field(
        factory=SocketsConfig,
        metadata=doc("How much the kernel may hold for each socket."),
    )
    files: FilesConfig = attrs.field(
        factory=FilesConfig,
        metadata=doc("How files are read from the disk."),
    )

    def unused(self, blksize_max: int) -> Iterator[tuple[str, str]]:
        """Yield each key that was changed and has no effect because of others, and the reason.

        Keys are whole paths; `blksize_max` is the largest block, in octets, that can come about.
        """
        set_keys = {f"performance.{key}" for key in changed(self)}
        for because, keys in self._idle(blksize_max):
            for key in keys:
                if key in set_keys:
                    set_keys.remove(key)  # one reason is enough
                    yield key, f"has no effect while {because}"

    def _idle(self, blksize_max: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield keys that do nothing, changed or not, by what makes them idle."""
        platform = self.platform
        batch, zero_copy, offload = platform.batch, platform.zero_copy, platform.offload
        batch_sizes = (_BATCH_SIZE, _BATCH_TIMEOUT)
        if platform.rung == "portable":
            yield (
                f'{_RUNG} is "portable"',
                (*_BATCH_SWITCHES, *batch_sizes, *_OFFLOAD, *_SENDFILES, *_ZEROCOPIES),
            )
        if platform.rung == "mmsg":
            yield f'{_RUNG} is "mmsg"', _OFFLOAD
        if not batch.enable_sendmmsg and not batch.enable_recvmmsg:
            forced = (_RUNG,) if platform.rung == "mmsg" else ()
            yield f"{' and '.join(_BATCH_SWITCHES)} are both false", (*forced, *batch_sizes)
        if not batch.enable_recvmmsg:
            yield f"{_BATCH_SWITCHES[1]} is false", (_BATCH_TIMEOUT,)
        if batch.max_batch_size < _FILLED_MIN:
            yield f"{_BATCH_SIZE} is less than {_FILLED_MIN}", (_BATCH_TIMEOUT,)
        if platform.rung == "gso" and not offload.enable_gso and not offload.enable_gro:
            yield f"{' and '.join(_OFFLOAD)} are both false", (_RUNG,)
        if not zero_copy.use_sendfile:
            yield f"{_SENDFILES[0]} is false", _SENDFILES[1:]
        elif zero_copy.sendfile_blksize_min > blksize_max:
            yield f"no block is larger than {blksize_max} octets", _SENDFILES[1:]
        elif zero_copy.sendfile_threshold_bytes <= _SMALL_MAX:
            yield f"files of up to {_SMALL_MAX} octets are kept in memory", _SENDFILES[1:2]
        if not batch.enable_sendmmsg:
            yield f"{_BATCH_SWITCHES[0]} is false", _ZEROCOPIES
        if not zero_copy.use_msg_zerocopy:
            yield f"{_ZEROCOPIES[0]} is false", _ZEROCOPIES[1:]
