"""Kubernetes manifests as plain values, and what of them is a command of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"
Value = object


def documents(file: Path) -> list[dict[str, Value]]:
    """Return the documents of a file."""
    return [found for found in yaml.safe_load_all(file.read_text(encoding="utf-8")) if found]


def at(value: Value, path: str) -> Value:
    """Return what is at a path like `spec.ports.0`, None if nothing is."""
    for word in path.split("."):
        if isinstance(value, dict):
            value = value.get(word)
        elif isinstance(value, list):
            value = value[int(word)]
        else:
            return None
    return value


def items(value: Value, path: str) -> list[Value]:
    """Return the list at a path, an empty one if there is none."""
    found = at(value, path)
    return found if isinstance(found, list) else []


def words(value: Value, path: str) -> list[str]:
    """Return the texts at a path."""
    return [str(word) for word in items(value, path)]


def number(value: Value, path: str) -> float:
    """Return the number at a path."""
    found = at(value, path)
    assert isinstance(found, int | float), path
    return found


def containers(file: Path) -> Iterator[tuple[dict[str, Value], Value]]:
    """Yield (document, container)."""
    for document in documents(file):
        for container in items(document, "spec.template.spec.containers"):
            yield document, container
