"""What is learnt of a server before the first case: the file, how it answers, what it grants.

Nothing here is a verdict.  What keeps all cases from being run is a `CannotRunError`.
"""

from __future__ import annotations

import trio

from snowowl.testing.conformance.client import BLKSIZE_DEFAULT, SIZE_MAX, Client
from snowowl.testing.conformance.packets import Answer, ack, wrq
from snowowl.testing.conformance.stage import Stage
from snowowl.testing.conformance.verdicts import (
    CannotRunError,
    Deviation,
    NobodyListensError,
)

ATTEMPTS = 3
"""Requests until a server counts as silent: one or two may get lost."""

_ASKED = (("blksize", 1024), ("timeout", 3), ("tsize", 0), ("windowsize", 4), ("rollover", 0))
"""Values that a server which knows the option has no reason to refuse."""

WRITTEN = b"written by the snowowl conformance suite\n"


async def learn(stage: Stage) -> None:
    """Fill the stage's profile.  Raises CannotRunError."""
    await _learn_content(stage)
    await _learn_timing(stage)
    await _learn_options(stage)
    await _learn_concurrency(stage)
    if stage.target.write is not None:
        await _learn_writing(stage)


async def answers(stage: Stage, *, attempts: int = ATTEMPTS) -> bool:
    """Say whether the server still serves the file: the canary."""
    for _ in range(attempts):
        async with stage.client() as client:
            try:
                answer = await client.ask(stage.rrq())
            except Deviation:
                continue
            if answer.is_data(1):
                return True
    return False


async def _learn_content(stage: Stage) -> None:
    name = stage.target.read.decode("utf-8", "backslashreplace")
    async with stage.client() as client:
        answer = await _first_answer(stage, client)
        if answer.is_error():
            raise CannotRunError(f"{name!r} cannot be read: {answer}. Name another file by --read")
        if not answer.is_data(1):
            raise CannotRunError(
                f"expected DATA 1 for a plain request of {name!r}, but {answer} came"
            )
        stage.profile.single_port = answer.source == stage.target.address
        try:
            stage.profile.content = await client.read_on(answer)
        except Deviation as broken:
            blocks = {came.number: came.payload for came in client.came if came.is_data()}
            if any(len(payload) != BLKSIZE_DEFAULT for payload in blocks.values()):
                raise CannotRunError(f"{name!r} cannot be read to its end: {broken}") from None
            # The last, empty DATA is missing: of that there is a case.
            stage.profile.content = b"".join(blocks[number] for number in sorted(blocks))
    if len(stage.profile.content) > SIZE_MAX:
        raise CannotRunError(f"{name!r} has more than {SIZE_MAX} octets: name a smaller one")


async def _first_answer(stage: Stage, client: Client) -> Answer:
    for _ in range(ATTEMPTS):
        began = trio.current_time()
        try:
            answer = await client.ask(stage.rrq())
        except Deviation as silence:
            if client.closed:
                raise NobodyListensError(
                    "nothing listens at that port (ICMP: port unreachable)"
                ) from None
            if "another address" in silence.said:
                raise CannotRunError(
                    f"the server {silence.said}: no client would take that"
                ) from None
            continue
        stage.profile.latency = trio.current_time() - began
        return answer
    raise CannotRunError(f"no answer to {ATTEMPTS} requests within {stage.patience:g} s each")


async def _learn_timing(stage: Stage) -> None:
    """See after what time a DATA that is not acknowledged comes again."""
    async with stage.client() as client:
        try:
            await client.ask(stage.rrq())
            if len(stage.content) >= 512:
                await client.send(ack(1))
                await client.expect_data(2)
        except Deviation:
            return
        sent_at = trio.current_time()
        if await client.hear(stage.patience) is not None:
            stage.profile.retransmits_after = trio.current_time() - sent_at


async def _learn_options(stage: Stage) -> None:
    for name, value in _ASKED:
        async with stage.client() as client:
            began = trio.current_time()
            try:
                answer = await client.ask(stage.rrq((name, value)))
            except Deviation:
                continue
            stage.profile.latency = max(stage.profile.latency, trio.current_time() - began)
            if answer.is_oack and name in answer.granted:
                stage.profile.granted[name] = answer.granted[name]


async def _learn_concurrency(stage: Stage) -> None:
    """See whether a second client is answered while a first one keeps the server waiting."""
    async with stage.client() as first, stage.client() as second:
        try:
            await first.ask(stage.rrq())
        except Deviation:
            return
        await second.send(stage.rrq())
        answer = await second.hear(stage.moment * 2)
        if answer is not None:
            second.tid, second.over = answer.source, answer.is_error()
        stage.profile.concurrent = answer is not None


async def _learn_writing(stage: Stage) -> None:
    profile = stage.profile
    name = stage.upload_name()
    for attempt in range(2):
        async with stage.client() as client:
            try:
                await client.write(wrq(name), WRITTEN)
            except Deviation as refused:
                if not attempt:
                    profile.refusal = str(refused)
                    return
                break
        if attempt:
            profile.overwrites = True
        profile.writable = True
    async with stage.client() as client:
        try:
            profile.reads_back = await client.read(read_back(name)) == WRITTEN
        except Deviation:
            profile.reads_back = False


def read_back(name: bytes) -> bytes:
    """Return the request that reads what was written."""
    from snowowl.testing.conformance.packets import rrq

    return rrq(name)
