"""The servers that are measured: the peers, the C programs that show the limit, variants of snowowl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import cattrs
import tomlkit

from tests.bench.workspace import tool
from tests.peers import servers as peers
from tests.peers.servers import Server, snowowl
from tests.peers.workspace import Workspace


def limit(workspace: Workspace, *, gso: bool) -> Server:
    program = str(tool(workspace, "limit"))

    def command(port: int, uploads: bool) -> list[str]:
        return [
            *(program, "--port", str(port), "--root", str(workspace.root)),
            *([] if gso else ["--no-gso"]),
        ]

    return Server(
        name="limit" if gso else "limit-nogso",
        kind="limit",
        command=command,
        folder=workspace.root,
        uploads=False,
    )


@attrs.frozen
class Variant:
    """snowowl with one feature off."""

    name: str
    config: str
    scenarios: tuple[str, ...]


def variants_in(text: str) -> list[Variant]:
    """Return what a list of variants holds (variants.toml); raises `ValueError` if it is none."""
    try:
        tables = tomlkit.parse(text).unwrap()["variant"]
        return cattrs.structure(tables, list[Variant])
    except (cattrs.BaseValidationError, KeyError, TypeError) as error:
        raise ValueError(f"this is no list of variants: {error!r}") from None


MAKERS: Final[dict[str, Callable[[Workspace], Server]]] = {
    **peers.MAKERS,
    "limit-nogso": lambda workspace: limit(workspace, gso=False),
    "limit": lambda workspace: limit(workspace, gso=True),
    "snowowl": snowowl,
}
"""By name, in the order of the table's columns."""
