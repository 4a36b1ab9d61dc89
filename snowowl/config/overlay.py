"""Flags and environment variables over a configuration, with the same checks as a file.

Nothing here may know which flags or variables there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from snowowl.config.environment import Change
from snowowl.config.model import Config
from snowowl.config.problems import ConfigError, Problem
from snowowl.config.structure import Fault, StructureError, structure
from snowowl.config.words import KeyPath, dotted

UNKNOWN_ORIGIN = "<config>"
"""What a problem of the configuration itself is laid to: one that was put together by hand."""


def override(config: Config, changes: Iterable[Change]) -> Config:
    """Return the configuration with some keys changed; of several changes to a key the last counts.

    With no changes this checks a configuration that was put together by hand.  Raises ConfigError
    with every problem, each named by the `origin` of its change in place of a file and line.
    """
    plain: dict[str, object] = attrs.asdict(config)
    latest = {_path(change.key_path): change for change in changes}
    faults: list[Fault] = []
    for path, change in latest.items():
        if change.fault:
            faults.append(Fault(path, change.fault))
        elif not _set(plain, path, change.value):
            faults.append(Fault(path, "unknown key"))
    try:
        made = structure(plain)
    except StructureError as error:
        faults.extend(error.faults)
    else:
        if not faults:
            return made
    origins = {path: change.origin for path, change in latest.items()}
    raise ConfigError(_problem(fault, origins) for fault in faults)


def _path(key_path: str) -> KeyPath:
    return tuple(key_path.split("."))


def _set(plain: dict[str, object], path: KeyPath, value: object) -> bool:
    """Set a nested key; False if the path leads through something that is no table."""
    table = plain
    for part in path[:-1]:
        inner = table.setdefault(str(part), {})
        if not isinstance(inner, dict):
            return False
        table = inner
    table[str(path[-1])] = value
    return True


def _problem(fault: Fault, origins: Mapping[KeyPath, str]) -> Problem:
    for path in (fault.path, *fault.related):
        if path in origins:
            return Problem(origins[path], 0, dotted(path), fault.message)
        for changed, origin in origins.items():
            # A fault of an element is one of its key; an unknown table is one of the key in it.
            if path[: len(changed)] == changed or changed[: len(path)] == path:
                return Problem(origin, 0, dotted(path), fault.message)
    return Problem(UNKNOWN_ORIGIN, 0, dotted(fault.path), fault.message)
