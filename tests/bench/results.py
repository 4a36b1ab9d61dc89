"""What runs yield, and how that is kept in a file.

Only data: no process is started here, no table is made.
"""

from __future__ import annotations

import json

import attrs
import cattrs


@attrs.frozen(kw_only=True)
class Load:
    """What the load generator counted (load.c)."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    octets: int = 0
    blocks: int = 0
    transfers: int = 0
    failed: int = 0
    corrupt: int = 0
    unfinished: int = 0
    requests_resent: int = 0
    acks_resent: int = 0
    data_resent: int = 0
    dropped: int = 0
    blksize: int = 0
    windowsize: int = 0
    error: str = ""


@attrs.frozen(kw_only=True)
class Result:
    """What one run of one server yielded."""

    scenario: str
    server: str
    round: int
    problem: str = ""
    """Why there is no value: "no window", "read-only", "fails: ..."."""
    value: float = 0.0
    """In the scenario's unit."""
    cpu: float = 0.0
    """Server CPU: seconds a GiB, or microseconds a transfer; 0 where it means nothing."""
    note: str = ""
    """What the value must not be read without."""
    complete: bool = True
    """Every transfer that was to complete did, and no request was sent twice."""
    load: Load = Load()


@attrs.frozen(kw_only=True)
class Runs:
    """Everything that one call of the benchmark found, enough to make its tables again."""

    machine: str
    rounds: int
    minutes: float
    servers: dict[str, str]
    """Names and kinds (`peer`, `limit`, `snowowl`, `variant`), in the order of columns."""
    versions: dict[str, str]
    results: list[Result]

    def named(self, kind: str) -> list[str]:
        """Return the servers of a kind."""
        return [name for name, is_a in self.servers.items() if is_a == kind]

    def to_json(self) -> str:
        return json.dumps(cattrs.unstructure(self), indent=1) + "\n"


def runs_of(text: str) -> Runs:
    """Return runs from JSON; raises `ValueError` for what is none."""
    try:
        return cattrs.structure(json.loads(text), Runs)
    except cattrs.BaseValidationError as error:
        raise ValueError(f"these are no runs of this benchmark: {error}") from None
