"""Millions of datagrams against the pure core: the codec, and machines in all of their states.

Each datagram is decoded, and comes to a machine that a captured or a made request has begun and that
datagrams, timers, disks and owners have brought somewhere.  The checks are those of the targets
`decode`, `read_machine` and `write_machine`, without the few that take long.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final, TypeVarTuple, Unpack, cast

import attrs

from fuzz import corpus
from fuzz.growth import Growth, growth
from fuzz.machines import SIDES, MachinePlay, ReadPlay, WritePlay
from fuzz.mutate import Mutator
from fuzz.octets import Decoding
from fuzz.plays import reason_of
from fuzz.reduce import reduced
from fuzz.seeds import Arg, Call, pasteable
from fuzz.targets import TARGETS
from snowowl.protocol.transfer import State
from snowowl.wire.codec import MalformedPacket, decode

SAMPLES: Final = 40
LIFE: Final = 48
"""Datagrams that one machine gets, at most."""

BLOCKS_BOUND: Final = 4000
"""Blocks of memory (`sys.getallocatedblocks`, which is exact): of ten million datagrams each of two
processes measures 3,750,000, so an object kept for every thousandth datagram is found.  Measured: 200,
most of it the samples themselves."""

RSS_BOUND: Final = 4 << 20
"""Octets, for what is no object of Python: little more than one for each of those datagrams."""

_Args = TypeVarTuple("_Args")

_JUMPS: Final = (5, 65533, 65535, 131069)


@attrs.define
class Result:
    """What one process has done."""

    datagrams: int = 0
    machines: int = 0
    seconds: float = 0.0
    states: Counter[str] = attrs.field(factory=Counter)
    """Datagrams by the class and the state of the machine that they came to."""
    blocks: list[tuple[float, float]] = attrs.field(factory=list)
    rss: list[tuple[float, float]] = attrs.field(factory=list)
    finding: str = ""

    def growths(self) -> dict[str, Growth]:
        """Return the verdicts on memory."""
        return {
            "memory blocks": growth(self.blocks, BLOCKS_BOUND),
            "RSS": growth(self.rss, RSS_BOUND),
        }


class Quick(MachinePlay):
    """A play without the checks that take long."""

    thorough = False


class QuickRead(Quick, ReadPlay):
    """RRQ."""


class QuickWrite(Quick, WritePlay):
    """WRQ."""


class Story:
    """One machine, and what has happened to it, to be told if it fails."""

    def __init__(self, play: MachinePlay) -> None:
        self.play = play
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def do(self, name: str, method: Callable[[Unpack[_Args]], None], *args: *_Args) -> None:
        """Make a call."""
        self.calls.append((name, args))
        method(*args)

    def text(self, error: Exception) -> str:
        """Return what happened as Python, made simpler."""
        target = TARGETS["read_machine" if isinstance(self.play, ReadPlay) else "write_machine"]
        seed = tuple(Call(name, cast("tuple[Arg, ...]", args)) for name, args in self.calls)
        reason = reason_of(error)
        seed = reduced(seed, lambda other: target.reason(other) == reason)
        trace = "".join(traceback.format_exception(error))
        return f"{reason}\n\n{trace}\n{pasteable(target.path, seed)}"


def soak(datagrams: int, seed: int, told: Callable[[int], None]) -> Result:
    """Feed so many datagrams, or fewer if something fails; `told` hears of the progress."""
    draws = random.Random(seed)
    mutator = Mutator(corpus.datagrams(), draws)
    requests = {opcode: corpus.requests(opcode) for opcode in (1, 2)}
    result = Result()
    gc.collect()
    gc.freeze()  # what is there now is looked at no more, so that a look costs little
    every = max(1, datagrams // SAMPLES)
    begun = time.monotonic()
    next_sample = every
    while result.datagrams < datagrams:
        opcode = 1 + draws.getrandbits(1)
        story = Story(QuickRead() if opcode == 1 else QuickWrite())
        try:
            _live(story, opcode, mutator, draws, requests[opcode], result)
        except Exception as error:  # noqa: BLE001 - whatever is raised is what is looked for
            result.finding = story.text(error)
            break
        result.machines += 1
        if result.datagrams >= next_sample:
            next_sample += every
            _sample(result)
            told(result.datagrams)
    result.seconds = time.monotonic() - begun
    gc.unfreeze()
    return result


def _live(
    story: Story,
    opcode: int,
    mutator: Mutator,
    draws: random.Random,
    requests: tuple[bytes, ...],
    result: Result,
) -> None:
    """Begin a machine, and have it hear datagrams until it has ended or is old."""
    play, bits = story.play, draws.getrandbits
    request = mutator.request() if bits(2) == 0 else requests[int(draws.random() * len(requests))]
    request = request[:1] + bytes((opcode,)) + request[2:]
    size = (0, 7, 512, 1300, 4096, 70_000, 600_000, 1 << 33)[bits(3)]
    rollover = (None, 0, 0, 1)[bits(2)]
    story.do("begin", play.begin, SIDES[bits(1)], request, size, rollover)
    transfer, states = play.transfer, result.states
    kind = type(transfer).__name__
    sends = play.sending is not None
    for _ in range(1 + bits(6) % LIFE):
        if bits(2):
            terms = transfer.terms
            ahead = transfer.window.size if sends and transfer.octets else sends
            number = (
                0 if transfer.state is State.NEGOTIATING and sends else play.number_ahead(ahead)
            )
            datagram = mutator.near(number, terms.windowsize, terms.blksize, acks=sends)
        else:
            datagram = mutator.datagram()
        result.datagrams += 1
        states[f"{kind} {transfer.state.value}"] += 1
        if bits(6):
            try:  # noqa: SIM105 - contextlib.suppress takes as long as what it would be around
                decode(datagram)
            except MalformedPacket:
                pass
        else:
            Decoding().decode(datagram)
        story.do("receive", play.receive, datagram)
        if transfer.finished:
            # Nothing must wake it up.
            story.do("receive", play.receive, datagram)
            break
        if not bits(3):
            _interfere(story, bits(4), draws)
        elif transfer.state is State.COMMITTING and not bits(2):
            story.do("commit", play.commit)
    if not bits(2) or transfer.finished:
        story.calls.append(("wait", (0.0,)))
        play.close()


def _interfere(story: Story, which: int, draws: random.Random) -> None:
    """Have something happen that is no datagram."""
    play = story.play
    if which < 4:
        story.do("expire", play.expire)
    elif which < 6:
        story.do("wait", play.wait, draws.choice((0.001, 0.3, 31.0)))
    elif which < 8:
        story.do("commit", play.commit)
    elif which == 8:
        story.do("pause", play.pause, draws.getrandbits(3))
    elif which < 11:
        story.do("resume", play.resume)
    elif which == 11:
        story.do("repeat", play.repeat)
    elif which < 15:
        story.do("jump", play.jump, draws.choice(_JUMPS))
    elif not draws.getrandbits(2):
        story.do("end", play.end, draws.getrandbits(2))


def _sample(result: Result) -> None:
    gc.collect()
    result.blocks.append((result.datagrams, float(sys.getallocatedblocks())))
    result.rss.append((result.datagrams, float(rss())))


def rss(pid: int | str = "self") -> int:
    """Return the resident memory of a process in octets."""
    status = Path(f"/proc/{pid}/statm")
    if not status.exists():  # not Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.read_text().split()[1]) * resource.getpagesize()


# Several processes.


def _work(
    datagrams: int,
    seed: int,
    counted: Synchronized[int],
    results: multiprocessing.SimpleQueue[Result],
) -> None:
    last = 0

    def told(done: int) -> None:
        nonlocal last
        with counted.get_lock():
            counted.value += done - last
        last = done

    results.put(soak(datagrams, seed, told))


def soak_in_processes(
    datagrams: int, seed: int, jobs: int, told: Callable[[int], None]
) -> list[Result]:
    """Share the datagrams among processes, each with a seed of its own; return what each did."""
    context = multiprocessing.get_context("spawn")
    counted: Synchronized[int] = context.Value("q", 0)
    results: multiprocessing.SimpleQueue[Result] = context.SimpleQueue()
    share = -(-datagrams // jobs)
    processes = [
        context.Process(target=_work, args=(share, seed + number, counted, results))
        for number in range(jobs)
    ]
    found: list[Result] = []
    try:
        for process in processes:
            process.start()
        while len(found) < jobs:
            told(counted.value)
            if not results.empty():
                found.append(results.get())
            elif not any(process.is_alive() for process in processes) and results.empty():
                raise RuntimeError("a process of the soak died without a word")
            else:
                time.sleep(0.2)
    finally:
        for process in processes:
            if len(found) < jobs:
                process.kill()
            process.join()
    return found
