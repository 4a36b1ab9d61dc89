"""How a seed is made to happen: plays, and what watches them.

A play is an object whose methods are the calls of seeds, and that raises where the invariant of its
target does not hold.  It knows no engine: Hypothesis, HypoFuzz, atheris, the soak and a person all
drive the same plays, by `Run`.  A run that fails is noted as a seed, so that whichever engine found
it, it can be read, replayed and put into the corpus.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
import traceback
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import attrs

from fuzz.seeds import Arg, Call, Seed, SeedError, pasteable, smaller, text_of

REPORT_VARIABLE: Final = "SNOWOWL_FUZZ_REPORT"
"""Names the folder in which every process of an engine leaves its counts and findings."""

SAVE_SECONDS: Final = 0.5
"""Between two saves of the counts: an engine may end its process at any time, unasked."""


class Play(Protocol):
    """What the calls of a seed are made on."""

    datagrams: int
    """Datagrams that it has been given."""

    def close(self) -> None:
        """End: check what must hold at the end, and leave nothing behind."""


@attrs.frozen
class Finding:
    """A seed for which an invariant does not hold."""

    target: str
    seed: Seed
    reason: str
    """The exception in one line, and where it was raised."""
    trace: str

    @property
    def name(self) -> str:
        """Return the name of a file for it: findings with one cause have one name."""
        digest = 0
        for octet in self.reason.encode():
            digest = (digest * 31 + octet) % 0xFFFFFFFF
        return f"{self.target}-{digest:08x}.txt"

    def text(self, play: str) -> str:
        """Return it as a file that can be replayed."""
        head = [f"target: {self.target}", self.reason, *self.trace.rstrip().split("\n"), ""]
        head += ["As Python:", *pasteable(play, self.seed).rstrip().split("\n")]
        return "".join(f"# {line}".rstrip() + "\n" for line in head) + "\n" + text_of(self.seed)


class Watch:
    """Counts of the runs in this process, and what was found in them."""

    def __init__(self) -> None:
        self.examples: dict[str, int] = {}
        self.datagrams: dict[str, int] = {}
        self.findings: dict[str, Finding] = {}
        """The smallest of each cause, by `Finding.name`."""
        self._saved_at = 0.0

    def ended(self, target: str, datagrams: int) -> None:
        """Count a run."""
        self.examples[target] = self.examples.get(target, 0) + 1
        self.datagrams[target] = self.datagrams.get(target, 0) + datagrams
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    def failed(self, target: str, seed: Seed, error: Exception, play: str) -> None:
        """Note a run that failed, if it is the simplest of its cause."""
        finding = Finding(
            target, seed, reason_of(error), "".join(traceback.format_exception(error))
        )
        known = self.findings.get(finding.name)
        if known is not None and not smaller(seed, known.seed):
            return
        self.findings[finding.name] = finding
        folder = os.environ.get(REPORT_VARIABLE)
        if folder:
            (Path(folder) / f"{os.getpid()}-{finding.name}").write_text(finding.text(play))
        self.save()

    def save(self) -> None:
        """Leave the counts where the engine's caller looks for them."""
        self._saved_at = time.monotonic()
        folder = os.environ.get(REPORT_VARIABLE)
        if not folder:
            return
        counts = {name: (self.examples[name], self.datagrams[name]) for name in self.examples}
        path = Path(folder) / f"{os.getpid()}.json"
        path.with_suffix(".part").write_text(json.dumps(counts))
        path.with_suffix(".part").replace(path)


WATCH: Final = Watch()


def reason_of(error: Exception) -> str:
    """Return the kind of an exception and the innermost place of this repository that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parents[1]) + os.sep
    ours = [frame for frame in frames if frame.filename.startswith(root)] or list(frames)
    place = ""
    if ours:
        place = f" in {Path(ours[-1].filename).name}, {ours[-1].name}: {ours[-1].line}"
    return f"{type(error).__name__}{place}"


class Run:
    """One seed as it happens: makes the calls, notes them, and tells the watch how it went."""

    def __init__(self, target: str, play: Callable[[], Play], path: str, watch: Watch) -> None:
        self.calls: list[Call] = []
        self.play = play()
        self._target = target
        self._path = path
        self._watch = watch
        self._failed = False

    def do(self, name: str, *args: Arg) -> None:
        """Make a call.  Raises what the play raises."""
        self.make(Call(name, args))

    def make(self, step: Call) -> None:
        """Make a call.  Raises what the play raises; SeedError if it has no such call."""
        method = method_of(self.play, step)
        self.calls.append(step)
        self._watched(method)

    def close(self) -> None:
        """End the play, and count it.  After a failure, only the latter."""
        try:
            if not self._failed:
                self._watched(self.play.close)
        finally:
            self._watch.ended(self._target, self.play.datagrams)

    def _watched(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            self._failed = True
            self._watch.failed(self._target, tuple(self.calls), error, self._path)
            raise


def method_of(play: Play, step: Call) -> Callable[[], object]:
    """Return a call of the method that a step names.  Raises SeedError if it does not fit."""
    method = None if step.name.startswith("_") else getattr(type(play), step.name, None)
    if step.name == "close" or not inspect.isfunction(method):
        raise SeedError(f"{type(play).__name__} has no call {step.name}")
    hints = _hints(method)
    if len(hints) != len(step.args):
        raise SeedError(f"{step.name} takes {len(hints)} values, not {len(step.args)}")
    for value, hint in zip(step.args, hints, strict=True):
        if not _fits(value, hint):
            raise SeedError(f"{step.name}: {value!r:.60} is of the wrong kind")
    return functools.partial(method, play, *step.args)


_KNOWN: dict[types.FunctionType, list[object]] = {}


def _hints(method: types.FunctionType) -> list[object]:
    """Return the type of each argument of a method."""
    known = _KNOWN.get(method)
    if known is None:
        hints = typing.get_type_hints(method)
        names = list(inspect.signature(method).parameters)[1:]
        known = _KNOWN[method] = [hints[name] for name in names]
    return known


def _fits(value: object, hint: object) -> bool:
    """Say whether a value of a seed is of a type."""
    parts = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if typing.get_origin(hint) is tuple and isinstance(value, tuple):
        if parts[-1] is ...:
            return all(_fits(each, parts[0]) for each in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if hint is float:
        return isinstance(value, float | int)
    return isinstance(hint, type) and isinstance(value, hint)
