"""Makes a failing script smaller, without Hypothesis: leaves out steps, then octets, and plays what is left.

Bounded by attempts and time.  What comes out fails as what went in, as far as it was tried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import attrs
import trio

from snowowl.testing.fuzzing.script import PEERS, Answer, Follow, Script, Send, Step, Wait

Fails = Callable[[Script], Awaitable[bool]]

_PLAIN: Final = b"a"


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
    """Yield octets of which something is left out, or plain: strings first, then pieces of them."""
    words = octets[2:].split(b"\0")
    for index in range(len(words)):
        for count in (2, 1):
            left = words[:index] + words[index + count :]
            yield octets[:2] + b"\0".join(left)
    size = len(octets) // 2
    while size:
        for start in range(0, len(octets), size):
            yield octets[:start] + octets[start + size :]
        size //= 2
    for index, octet in enumerate(octets[2:], 2):
        if octet not in (0, _PLAIN[0]):
            yield octets[:index] + _PLAIN + octets[index + 1 :]


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
