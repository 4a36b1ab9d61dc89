"""What a check finds: a level, a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import attrs

from snowowl.cli.doctor_checks.machine import Machine
from snowowl.config import Config


class Level(Enum):
    """How bad it is."""

    OK = "OK"
    NOTE = "NOTE"
    """Worth knowing; nothing need be done."""
    WARN = "WARN"
    """Some clients, or some circumstances, will have trouble."""
    FAIL = "FAIL"
    """The server cannot work like this."""


@attrs.frozen
class Finding:
    """One thing that was looked at.  `advice` says what to do, or type; empty if nothing."""

    level: Level
    topic: str
    message: str
    advice: str = ""

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "level": self.level.value,
            "topic": self.topic,
            "message": self.message,
            "advice": self.advice or None,
        }


@attrs.frozen(kw_only=True)
class Subject:
    """What is looked at: a configuration, on a machine."""

    config: Config
    machine: Machine = attrs.field(factory=Machine)
    file: str | None = None
    """The configuration file."""
    warnings: tuple[str, ...] = ()
    """What was set there, or in the environment, and has no effect."""


Check = Callable[[Subject], Iterable[Finding]]


def ok(topic: str, message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, topic, message)


def note(topic: str, message: str, advice: str = "") -> Finding:
    """Return something that is worth knowing."""
    return Finding(Level.NOTE, topic, message, advice)


def warn(topic: str, message: str, advice: str) -> Finding:
    """Return something that will trouble somebody."""
    return Finding(Level.WARN, topic, message, advice)


def fail(topic: str, message: str, advice: str) -> Finding:
    """Return something that keeps the server from working."""
    return Finding(Level.FAIL, topic, message, advice)
