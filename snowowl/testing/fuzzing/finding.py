"""What can be wrong with a server, and what was seen of it."""

from __future__ import annotations

from enum import Enum

import attrs


class Oracle(Enum):
    """Who says that something is wrong; the value is its name in options and files."""

    CRASH = "crash"
    HANG = "hang"
    LEAK = "leak"
    PATHS = "paths"
    AMPLIFICATION = "amplification"
    PROTOCOL = "protocol"
    BYSTANDER = "bystander"
    EXHAUSTION = "exhaustion"


LESSER: frozenset[Oracle] = frozenset({Oracle.PATHS})
"""Findings that end no run: there is worse to be looked for."""


@attrs.frozen
class Finding:
    """Something that is wrong, and the evidence.

    Two findings are the same if oracle, rule and shape are; the text is for people.
    """

    oracle: Oracle
    rule: str
    """A word for what was broken: `port-closed`, `oack-unasked`."""
    text: str = attrs.field(eq=False)
    shape: str = ""
    """What tells apart two ways to break one rule: an option's name, the exception in a log."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what makes it the same as another."""
        return self.oracle.value, self.rule, self.shape

    @property
    def name(self) -> str:
        """Return its key for people."""
        return "/".join(part for part in self.key if part)
