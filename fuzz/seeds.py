"""Seeds: inputs of targets as text that people can read, write and keep.

A seed is a few calls, one on each line, with nothing but literals in them:

    # atftp asks for a window
    begin("server", b"\\0\\1f\\0octet\\0windowsize\\x008\\0", 1300)
    receive(b"\\0\\4\\0\\0")

The corpus, and what an engine finds, are files of such seeds.  In targets of one call every line is a
seed, in the others an empty line ends one.  Literals may be joined by `+` and repeated by `*`.
Reading is total: whatever a file holds, the one exception is `SeedError`, and nothing is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

Arg = bytes | str | int | float | None | tuple["Arg", ...]
"""What a call may be given; truth values are numbers."""

LINE_OCTETS_MAX: Final = 1 << 20
VALUE_MAX: Final = 1 << 17
"""Octets or characters of one literal: more than a datagram can have."""

_RUN: Final = re.compile(rb"(.)\1{23,}", re.DOTALL)
"""Octets that are worth a `*` in a text."""


class SeedError(Exception):
    """A text is no seed; the message says where and why."""


@attrs.frozen
class Call:
    """One step: what is called, and with what."""

    name: str
    args: tuple[Arg, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(literal, self.args))})"


Seed = tuple[Call, ...]


def call(name: str, *args: Arg) -> Call:
    """Return a step."""
    return Call(name, args)


def literal(value: Arg) -> str:
    """Return a value as Python text; long runs of one octet become a product."""
    if isinstance(value, bytes):
        return " + ".join(_pieces(value)) or 'b""'
    if isinstance(value, tuple):
        inner = ", ".join(map(literal, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _pieces(octets: bytes) -> Iterator[str]:
    done = 0
    for run in _RUN.finditer(octets):
        if run.start() > done:
            yield repr(octets[done : run.start()])
        yield f"{run[1]!r} * {len(run[0])}"
        done = run.end()
    if done < len(octets):
        yield repr(octets[done:])


def text_of(seed: Seed) -> str:
    """Return a seed as lines."""
    return "".join(f"{step}\n" for step in seed)


def parse(text: str, file: str, *, one_call: bool) -> list[Seed]:
    """Return the seeds of a text; `one_call`: each line is one.  Raises SeedError."""
    seeds: list[Seed] = []
    steps: list[Call] = []
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped:
            steps.append(_call_of(stripped, f"{file}:{number}"))
        if steps and (one_call or not stripped):
            seeds.append(tuple(steps))
            steps = []
    return [*seeds, tuple(steps)] if steps else seeds


def _call_of(line: str, where: str) -> Call:
    if len(line) > LINE_OCTETS_MAX:
        raise SeedError(f"{where}: the line is too long")
    try:
        node = ast.parse(line, mode="eval").body
    # ValueError: a NUL; the others: nested more deeply than the parser goes.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SeedError(f"{where}: this is no call with literals: {reason}") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise SeedError(f'{where}: this is no call like `receive(b"...")`')
    try:
        return Call(node.func.id, tuple(_value(arg) for arg in node.args))
    except SeedError as error:
        raise SeedError(f"{where}: {error}") from None
    except RecursionError:
        raise SeedError(f"{where}: nested too deeply") from None


def _value(node: ast.expr) -> Arg:
    """Evaluate literals, `+`, `*` and the sign.  Raises SeedError."""
    match node:
        case ast.Constant(value=bytes() | str() | int() | float() | None as value):
            return value
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part) for part in parts)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _value(operand)
            if isinstance(number, int | float):
                return -number
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = _value(left), _value(right)
            if isinstance(one, bytes) and isinstance(other, bytes):
                return _bounded(one + other)
            if isinstance(one, str) and isinstance(other, str):
                return _bounded(one + other)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, times = _value(left), _value(right)
            if isinstance(one, bytes | str) and isinstance(times, int):
                if len(one) * times > VALUE_MAX:
                    raise SeedError("the value is too long")
                return one * times
        case _:
            pass
    raise SeedError(f"`{ast.unparse(node)[:60]}` is no literal")


def _bounded(value: bytes | str) -> bytes | str:
    if len(value) > VALUE_MAX:
        raise SeedError("the value is too long")
    return value


def pasteable(play: str, seed: Seed) -> str:
    """Return a seed as Python that makes the calls; `play` is `module:Class`."""
    module, name = play.split(":")
    steps = "".join(f"play.{step}\n" for step in (*seed, Call("close")))
    return f"from {module} import {name}\n\nplay = {name}()\n{steps}"


def smaller(one: Sequence[Call], other: Sequence[Call]) -> bool:
    """Say whether a seed is easier to understand than another: fewer calls, then shorter text."""
    key = [(len(seed), sum(len(str(step)) for step in seed)) for seed in (one, other)]
    return key[0] < key[1]
