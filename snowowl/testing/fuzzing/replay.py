r"""Scripts as text, to be read by people, kept in repositories, and played again.

    snowowl-fuzz 1                 the version of the format, first
    oracle crash                   what was found: oracle, rule, shape, and in words
    rule port-closed
    read b"name"                   what the canary asked for
    repeats 8                      how often the steps are played

    A send b"\\x00\\x01..."         to the listening port; `A send own ...` to the TID that answered A,
                                   `A send B ...` and `A send good ...` to the TID of another
    A follow 3                     answers correctly, three packets
    A answer ahead 1               answers with something wrong: see `script.DAMAGES`
    A again                        A close                        wait 0.5

A `#` begins a comment.  `loads` is total: it returns a record or raises `ReplayError` with the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import attrs

from snowowl.testing.fuzzing.describe import described
from snowowl.testing.fuzzing.finding import Finding, Oracle
from snowowl.testing.fuzzing.literal import quoted, read
from snowowl.testing.fuzzing.script import (
    COUNT_MAX,
    DAMAGES,
    DATAGRAM_MAX,
    DESTINATIONS,
    LISTENING,
    PEERS,
    REPEATS_MAX,
    WAIT_MAX,
    Again,
    Answer,
    Close,
    Follow,
    Script,
    Send,
    Step,
    Wait,
)

MAGIC: Final = "snowowl-fuzz"
VERSION: Final = 1
STEPS_MAX: Final = 10_000
_NAME_MAX: Final = 4096


class ReplayError(ValueError):
    """A file is no script; the text begins with the number of the line."""


@attrs.frozen(kw_only=True)
class Record:
    """A script, what it showed, and what has to be known to see it again."""

    script: Script
    finding: Finding | None = None
    read_name: bytes | None = None
    write_name: bytes | None = None
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Comments to write at the top; not read back."""


def dumps(record: Record) -> str:
    """Return a record as text."""
    lines = [f"{MAGIC} {VERSION}", *(f"# {_one_line(note)}" for note in record.notes)]
    finding = record.finding
    if finding is not None:
        lines += [f"oracle {finding.oracle.value}", f"rule {finding.rule}"]
        lines += [f"shape {_one_line(finding.shape)}"] if finding.shape else []
        lines += [f"found {_one_line(finding.text)}"] if finding.text else []
    lines += [f"read {quoted(record.read_name)}"] if record.read_name is not None else []
    lines += [f"write {quoted(record.write_name)}"] if record.write_name is not None else []
    lines += [f"repeats {record.script.repeats}"] if record.script.repeats > 1 else []
    lines.append("")
    for step in record.script.steps:
        if isinstance(step, Send):
            lines.append(f"# {_one_line(described(step.octets))}")
        lines.append(step_text(step))
    return "\n".join(lines) + "\n"


def step_text(step: Step) -> str:
    """Return one step as a line."""
    match step:
        case Send(peer, octets, to):
            return f"{peer} send {'' if to == LISTENING else to + ' '}{quoted(octets)}"
        case Follow(peer, count):
            return f"{peer} follow {count}"
        case Answer(peer, damage, number):
            return f"{peer} answer {damage}" + (f" {number}" if any(DAMAGES[damage]) else "")
        case Again(peer):
            return f"{peer} again"
        case Close(peer):
            return f"{peer} close"
        case Wait(seconds):
            return f"wait {seconds:g}"


def loads(text: str) -> Record:
    """Read a record.  Raises `ReplayError`."""
    reader = _Reader()
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        try:
            reader.take(line.strip(" \t\r"))
        except ValueError as error:
            raise ReplayError(f"line {number}: {error}") from None
    try:
        return reader.record()
    except ValueError as error:
        raise ReplayError(f"line {len(lines)}: {error}") from None


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self._began = False
        self._words: dict[str, str] = {}
        self._names: dict[str, bytes] = {}
        self._repeats = 1
        self._steps: list[Step] = []

    def take(self, line: str) -> None:
        """Take a line.  Raises ValueError."""
        if not line or line.startswith("#"):
            return
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if not self._began:
            self._begin(word, rest)
        elif word in ("oracle", "rule", "shape", "found"):
            self._once(word, self._words)
            if word == "oracle" and rest not in {oracle.value for oracle in Oracle}:
                known = ", ".join(oracle.value for oracle in Oracle)
                raise ValueError(f"no oracle is called {rest or 'nothing'}: {known}")
            self._words[word] = rest
        elif word in ("read", "write"):
            self._once(word, self._names)
            self._names[word] = _octets(rest, _NAME_MAX)
            if not self._names[word] or b"\0" in self._names[word]:
                raise ValueError("a file name is not empty and holds no NUL")
        elif word == "repeats":
            self._repeats = _number(rest, 1, REPEATS_MAX)
        else:
            self._steps.append(_step(word, rest))
            if len(self._steps) > STEPS_MAX:
                raise ValueError(f"more than {STEPS_MAX} steps")

    def record(self) -> Record:
        """Return the whole.  Raises ValueError if something is missing."""
        if not self._began:
            raise ValueError(f"the file is empty: it must begin with `{MAGIC} {VERSION}`")
        if not self._steps:
            raise ValueError('there is no step, such as `A send b"..."`')
        finding = None
        if "oracle" in self._words:
            finding = Finding(
                Oracle(self._words["oracle"]),
                self._words.get("rule", ""),
                self._words.get("found", ""),
                self._words.get("shape", ""),
            )
        return Record(
            script=Script(tuple(self._steps), self._repeats),
            finding=finding,
            read_name=self._names.get("read"),
            write_name=self._names.get("write"),
        )

    def _begin(self, word: str, rest: str) -> None:
        if word != MAGIC:
            raise ValueError(f"this is no script: it must begin with `{MAGIC} {VERSION}`")
        version = _without_comment(rest)
        if version != str(VERSION):
            raise ValueError(
                f"version {version or 'nothing'} is unknown: this reads version {VERSION}"
            )
        self._began = True

    def _once(self, word: str, into: dict[str, str] | dict[str, bytes]) -> None:
        if word in into:
            raise ValueError(f"`{word}` stands here for the second time")


def _step(word: str, rest: str) -> Step:
    if word == "wait":
        return Wait(_seconds(rest))
    if word not in PEERS:
        raise ValueError(
            f"{word[:20]} is neither a peer ({', '.join(PEERS)}) nor `wait`, nor a word of the head"
        )
    verb, _, rest = rest.partition(" ")
    readers: dict[str, Callable[[str, str], Step]] = {
        "send": _send,
        "follow": lambda peer, text: Follow(peer, _number(text, 1, COUNT_MAX)),
        "answer": _answer,
        "again": lambda peer, text: Again(_alone(peer, text)),
        "close": lambda peer, text: Close(_alone(peer, text)),
    }
    verb = _without_comment(verb)
    if verb not in readers:
        raise ValueError(f"a peer can {', '.join(readers)}; not {verb[:20] or 'nothing'}")
    return readers[verb](word, rest.strip())


def _send(peer: str, text: str) -> Step:
    to = LISTENING
    if not text.startswith('b"'):
        to, _, text = text.partition(" ")
        if to not in DESTINATIONS:
            raise ValueError(
                f'{to[:20] or "nothing"} is no destination: {", ".join(DESTINATIONS)}; then b"..."'
            )
    return Send(peer, _octets(text, DATAGRAM_MAX), to)


def _answer(peer: str, text: str) -> Step:
    damage, _, text = _without_comment(text).partition(" ")
    if damage not in DAMAGES:
        raise ValueError(f"{damage[:20] or 'nothing'} is no damage: {', '.join(DAMAGES)}")
    low, high = DAMAGES[damage]
    if not low and not high:
        return Answer(_alone(peer, text), damage)
    return Answer(peer, damage, _number(text, low, high))


def _octets(text: str, octets_max: int) -> bytes:
    octets, rest = read(text, octets_max)
    _alone("", rest)
    return octets


def _number(text: str, low: int, high: int) -> int:
    text = _without_comment(text)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 9 and low <= int(text) <= high):
        raise ValueError(f"{text[:20] or 'nothing'} is no number from {low} to {high}")
    return int(text)


def _seconds(text: str) -> float:
    text = _without_comment(text)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= WAIT_MAX:
        raise ValueError(f"{text[:20] or 'nothing'} is no time from 0 to {WAIT_MAX:g} seconds")
    return seconds


def _alone(peer: str, text: str) -> str:
    if rest := _without_comment(text):
        raise ValueError(f"{rest[:30]} does not belong here")
    return peer


def _without_comment(text: str) -> str:
    return text.partition("#")[0].strip()


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text).strip()
