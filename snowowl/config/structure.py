"""Plain values into a `Config`: types, ranges, choices, unknown keys, and every fault at once.

Works on dictionaries and lists, wherever they came from.  Nothing here may know of files, lines,
flags or TOML, and no key may be treated by name: what a key may be is said in `model.py` only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from snowowl.config.constraints import Check, Items, Range, check_text
from snowowl.config.keys import tables
from snowowl.config.model import Config
from snowowl.config.words import KeyPath, closest, dotted, quote, show

Hook = Callable[[object, object], object]

SUGGESTIONS_MAX = 100
"""Unknown keys of a table that get a suggestion: each costs about a millisecond."""


@attrs.frozen
class Fault:
    """A mistake at a path; `related` are the other keys that it may be the fault of."""

    path: KeyPath
    message: str
    related: tuple[KeyPath, ...] = ()


class StructureError(Exception):
    """The values make no `Config`; `faults` holds every reason."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)


class InvalidValueError(ValueError):
    """One value is not what its key takes; the text is the whole message."""


def structure(plain: Mapping[str, object]) -> Config:
    """Make a `Config` from nested dictionaries.

    Raises StructureError with every fault.  Keys that cannot stand together are looked for among
    those that are fine alone, so that one slip does not hide another.
    """
    faults: list[Fault] = []
    try:
        config = _CONVERTER.structure(plain, Config)
    except cattrs.ClassValidationError as error:
        faults.extend(_faults(error, ()))
        config = _CONVERTER.structure(_without(plain, [fault.path for fault in faults]), Config)
    faulty = [fault.path for fault in faults]
    for conflict in config.conflicts():
        keys: list[KeyPath] = [tuple(key.split(".")) for key in conflict.keys]
        if not any(_touch(key, path) for key in keys for path in faulty):
            faults.append(Fault(keys[0], conflict.message, tuple(keys[1:])))
    if faults:
        raise StructureError(faults)
    return config


def _touch(path: KeyPath, other: KeyPath) -> bool:
    """Say whether one path leads to, or through, where the other ends."""
    return all(mine == its for mine, its in zip(path, other, strict=False))


def _without(plain: Mapping[str, object], paths: Iterable[KeyPath]) -> dict[str, object]:
    """Copy the values without the keys (or whole tables) at the paths, however deep these go.

    Only along the paths, whose length the model bounds: what a file nests deeper stays untouched.
    """
    inner: dict[str | int, list[KeyPath]] = {}
    for first, *rest in paths:
        inner.setdefault(first, []).append(tuple(rest))
    copy: dict[str, object] = {}
    for key, value in plain.items():
        if key not in inner:
            copy[key] = value
        elif isinstance(value, dict) and all(inner[key]):
            copy[key] = _without(value, inner[key])
    return copy


def _faults(error: BaseException, path: KeyPath) -> Iterator[Fault]:
    """Flatten what cattrs collected; the notes that it leaves on exceptions are the path."""
    match error:
        case cattrs.ClassValidationError():
            noted, others = error.group_exceptions()
            for inner, note in noted:
                yield from _faults(inner, (*path, note.name))
            for inner in others:
                yield from _faults(inner, path)
        case cattrs.IterableValidationError():
            for inner, index in error.group_exceptions()[0]:
                yield from _faults(inner, (*path, index.index))
        case cattrs.ForbiddenExtraKeysError():
            for number, key in enumerate(sorted(error.extra_fields)):
                hint = _hint(key, path) if number < SUGGESTIONS_MAX else ""
                yield Fault((*path, key), f"unknown key{hint}")
        case _:
            yield Fault(path, str(error))


def _hint(key: str, path: KeyPath) -> str:
    """Say where an unknown key belongs, or what it probably should have been."""
    known = tables(Config)
    fields = {
        (*home, field.name): home for home, table in known.items() for field in attrs.fields(table)
    }
    homes = [home for place, home in fields.items() if place[-1] == key]
    for home in homes:
        table = (*home, key)
        if table in known:
            return f" ({'its place is' if home else 'belongs at the top:'} [{dotted(table)}])"
    if homes:
        return f" (belongs in {' or '.join(f'[{dotted(home)}]' for home in homes)})"
    here = [place[-1] for place, home in fields.items() if home == path]
    near = closest(key, here)
    if near is None:
        # The first of a name: what is asked for most comes first in the model.
        everywhere = {place[-1]: dotted(place) for place in reversed(fields)}
        near = everywhere.get(closest(key, everywhere) or "")
    return f" (did you mean {near}?)" if near else ""


def _invalid(expected: str, value: object, hint: str = "") -> InvalidValueError:
    return InvalidValueError(f"must be {expected}, not {show(value)}{hint}")


def _bool(value: object, _: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false"}
    word = words.get(str(value).lower(), "") if isinstance(value, str) else ""
    raise _invalid("true or false", value, f" (write {word}, without quotes)" if word else "")


def _int(value: object, _: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _invalid("an integer", value, _digits_hint(value))


def _digits_hint(value: object) -> str:
    digits = isinstance(value, str) and value.isascii() and value.isdecimal()
    return " (write it without quotes)" if digits else ""


def _float(value: object, _: object) -> float:
    if isinstance(value, float):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid("a number", value)
    try:
        return float(value)
    except OverflowError:  # above every range, which says so
        return math.inf if value > 0 else -math.inf


def _str(value: object, _: object) -> str:
    if isinstance(value, str):
        return value
    scalar = isinstance(value, (bool, int, float))
    raise _invalid("a string", value, " (write it in quotes)" if scalar else "")


def _path(value: object, _: object) -> Path:
    text = _str(str(value) if isinstance(value, Path) else value, str)
    try:
        check_text(text)
    except ValueError as error:
        raise InvalidValueError(str(error)) from None
    return Path(text)


def _choice_hint(value: object, choices: Iterable[str]) -> str:
    if isinstance(value, str):
        near = closest(value, choices)
        return f" (did you mean {quote(near)}?)" if near else ""
    return f' (write it in quotes: "{show(value)}")' if show(value) in choices else ""


def _literal_hook(annotation: object) -> Hook:
    choices: tuple[str, ...] = get_args(annotation)

    def hook(value: object, _: object) -> str:
        for choice in choices:
            if value == choice:
                return choice
        expected = f"one of {', '.join(map(quote, choices))}"
        raise _invalid(expected, value, _choice_hint(value, choices))

    return hook


def _annotated_hook(annotation: object) -> Hook:
    inner_type, *marks = get_args(annotation)
    inner: Hook = _CONVERTER.get_structure_hook(inner_type)

    def hook(value: object, _: object) -> object:
        made = inner(value, inner_type)
        for mark in marks:
            if isinstance(mark, (Range, Items, Check)) and (fault := mark.fault(made, value)):
                raise InvalidValueError(fault)
        return made

    return hook


def _number_words(annotation: object) -> str:
    """Describe a type of numbers with its range: what a message says beside a Literal's words."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        ranges = [mark.words() for mark in marks if isinstance(mark, Range)]
        return " ".join([_number_words(inner), *ranges])
    return "an integer" if annotation is int else "a number"


def _tuple_hook(annotation: object) -> Hook:
    """Take lists too: what TOML has is an array."""
    arguments = get_args(annotation)
    repeated = arguments[-1] is Ellipsis
    count = None if repeated else len(arguments)
    item_type = arguments[0]  # pairs here are of one type
    item: Hook = _CONVERTER.get_structure_hook(item_type)
    expected = "an array" if count is None else f"an array of {count}"

    def hook(value: object, _: object) -> object:
        if not isinstance(value, (list, tuple)):
            hint = f" (write [{show(value)}])" if repeated and isinstance(value, str) else ""
            raise _invalid(expected, value, hint)
        if count is not None and len(value) != count:
            raise InvalidValueError(f"must be {expected}, not of {len(value)}")
        made, errors = [], []
        for index, element in enumerate(value):
            try:
                made.append(item(element, item_type))
            except InvalidValueError as error:
                error.__notes__ = [cattrs.IterableValidationNote("", index, item_type)]
                errors.append(error)
        if errors:
            raise cattrs.IterableValidationError("", errors, tuple)
        return tuple(made)

    return hook


def _union_hook(annotation: object) -> Hook:
    """Take one type, and beside it None (a key that may be left out) or words of a Literal."""
    parts = get_args(annotation)
    choices: tuple[str, ...] = tuple(
        choice for part in parts if get_origin(part) is Literal for choice in get_args(part)
    )
    (inner_type,) = (
        part for part in parts if part is not NoneType and get_origin(part) is not Literal
    )
    inner: Hook = _CONVERTER.get_structure_hook(inner_type)

    def hook(value: object, _: object) -> object:
        if value is None and NoneType in parts:
            return None
        for choice in choices:
            if value == choice:
                return choice
        try:
            return inner(value, inner_type)
        except InvalidValueError:
            if not choices:
                raise
            expected = " or ".join([_number_words(inner_type), *map(quote, choices)])
            hint = _digits_hint(value) or _choice_hint(value, choices)
            raise _invalid(expected, value, hint) from None

    return hook


def _class_hook(annotation: type[attrs.AttrsInstance]) -> Hook:
    inner = make_dict_structure_fn(
        annotation,
        _CONVERTER,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
    )

    def hook(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _invalid("a table", value)
        return inner(value, annotation)

    return hook


def _has_origin(origin: object, annotation: object) -> bool:
    return get_origin(annotation) is origin


def _converter() -> cattrs.Converter:
    """Make a converter that coerces nothing; cattrs by itself turns "yes please" into True."""
    converter = cattrs.Converter(detailed_validation=True)
    for primitive, hook in ((bool, _bool), (int, _int), (float, _float), (str, _str)):
        converter.register_structure_hook(primitive, hook)
    converter.register_structure_hook(Path, _path)
    for origin, factory in (
        (Literal, _literal_hook),
        (Annotated, _annotated_hook),
        (tuple, _tuple_hook),
        (UnionType, _union_hook),
        (Union, _union_hook),  # what `X | None` becomes when X is an Annotated
    ):
        converter.register_structure_hook_factory(partial(_has_origin, origin), factory)
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    return converter


_CONVERTER = _converter()
