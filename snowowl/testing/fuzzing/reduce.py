"""Makes a failing script smaller, without Hypothesis: leaves out steps, then octets, and plays what is left.

Bounded by attempts and time.  What comes out fails as what went in, as far as it was tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import attrs
import trio

from snowowl.testing.fuzzing.script import (
    LISTENING,
    PEERS,
    Answer,
    Follow,
    Script,
    Send,
    Step,
    Wait,
)

Fails = Callable[[Script], Awaitable[bool]]

_PLAIN: Final = b"\0\1\2\3\4\5\6a0123456789./"
"""Octets that are as plain as they can be."""


async def reduced(script: Script, fails: Fails, *, attempts: int, seconds: float) -> Script:
    """Return a script that fails and is not larger; at best it cannot be made any smaller.

    `fails` is asked `attempts` times and for `seconds` at most.
    """
    until = trio.current_time() + seconds
    tried: set[Script] = {script}
    progress = True
    while progress:
        progress = False
        for candidate in smaller(script):
            if candidate in tried:
                continue
            if attempts == 0 or trio.current_time() >= until:
                return script
            tried.add(candidate)
            attempts -= 1
            if await fails(candidate):
                script, progress = candidate, True
                break
    return script


def smaller(script: Script) -> Iterator[Script]:
    """Yield scripts that are a bit simpler, the greatest steps first."""
    steps = script.steps
    yield from (attrs.evolve(script, steps=left) for left in _without_pieces(steps) if left)
    if script.repeats > 1:
        yield attrs.evolve(script, repeats=script.repeats // 2)
    for index, step in enumerate(steps):
        for simpler in _simpler(step):
            yield attrs.evolve(script, steps=(*steps[:index], simpler, *steps[index + 1 :]))
    yield from _renamed(script)


def _without_pieces(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    size = len(steps)
    while size:
        for start in range(0, len(steps), size):
            yield steps[:start] + steps[start + size :]
        size //= 2


def _simpler(step: Step) -> Iterator[Step]:
    match step:
        case Send(peer, octets, to):
            yield from [Send(peer, octets)] if to != LISTENING else []
            yield from (Send(peer, fewer, to) for fewer in _fewer(octets))
        case Follow(peer, count):
            yield from (
                Follow(peer, fewer)
                for fewer in sorted({1, count // 2, count - 1})
                if 0 < fewer < count
            )
        case Answer(peer, _, _):
            yield Follow(peer)
        case Wait(seconds):
            yield from (Wait(less) for less in (0.05, round(seconds / 2, 2)) if less < seconds)
        case _:
            return


def _fewer(octets: bytes) -> Iterator[bytes]:
    """Yield octets of which something is left out, or plain."""
    words = _words(octets)
    if words is None:
        yield from _fewer_octets(octets)
        return
    plain = _request(octets[:2], words)
    if plain == octets:
        # A request that can be read stays one: it says more than a shorter one that cannot.
        yield from _simpler_requests(octets[:2], words)
        return
    yield plain
    yield from _fewer_octets(octets)


def _words(octets: bytes) -> list[bytes] | None:
    """Return the file name and the pairs of options of what is a request, None if it is none."""
    strings = octets[2:].split(b"\0")[:-1]
    if octets[:2] not in (b"\0\1", b"\0\2") or not strings:
        return None
    pairs = strings[2:]
    return [strings[0], *pairs[: len(pairs) // 2 * 2]]


def _request(opcode: bytes, words: Sequence[bytes]) -> bytes:
    return opcode + b"".join(word + b"\0" for word in (words[0], b"octet", *words[1:]))


def _simpler_requests(opcode: bytes, words: list[bytes]) -> Iterator[bytes]:
    for index in range(1, len(words), 2):
        yield _request(opcode, words[:index] + words[index + 2 :])
    for index, word in enumerate(words):
        for fewer in _fewer_octets(word):
            if b"\0" not in fewer:
                yield _request(opcode, [*words[:index], fewer, *words[index + 1 :]])


def _fewer_octets(octets: bytes) -> Iterator[bytes]:
    size = (len(octets) + 1) // 2
    while size:
        for start in range(0, len(octets), size):
            yield octets[:start] + octets[start + size :]
        size //= 2
    for index, octet in enumerate(octets):
        if octet not in _PLAIN:
            yield octets[:index] + b"a" + octets[index + 1 :]


def _renamed(script: Script) -> Iterator[Script]:
    """Yield the script with its peers called A, B, C in the order of their appearance."""
    order: dict[str, str] = {}
    for step in script.steps:
        if not isinstance(step, Wait) and step.peer not in order:
            order[step.peer] = PEERS[len(order)]
    changed = tuple(
        step if isinstance(step, Wait) else attrs.evolve(step, peer=order[step.peer])
        for step in script.steps
    )
    if any(isinstance(step, Send) and step.to in PEERS for step in script.steps):
        changed = tuple(
            attrs.evolve(step, to=order.get(step.to, step.to)) if isinstance(step, Send) else step
            for step in changed
        )
    if changed != script.steps:
        yield attrs.evolve(script, steps=changed)
