"""Which test modules are a module's own: `tests/wire/test_codec*.py` are those of `wire/codec.py`.

Names only; nothing is imported from snowowl, so that who measures or changes it can use this first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def modules(rings: Iterable[str], parts: Iterable[str] = ()) -> Iterator[Path]:
    """Yield the modules of rings whose path has each of the parts, by their paths from the root."""
    wanted = list(parts)
    for ring in rings:
        for path in sorted((ROOT / "snowowl" / ring).glob("*.py")):
            module = path.relative_to(ROOT)
            if path.stem != "__init__" and all(part in module.as_posix() for part in wanted):
                yield module


def tests_of(module: Path) -> list[Path]:
    """Return the test module of a module, and its continuations (``test_sending_ends.py``).

    A continuation is named after the longest module that it could belong to.
    """
    folder = Path("tests", module.parent.name)
    stems = sorted((path.stem for path in (ROOT / module.parent).glob("*.py")), key=len)
    return [
        path.relative_to(ROOT)
        for path in sorted((ROOT / folder).glob(f"test_{module.stem}*.py"))
        if next((stem for stem in stems[::-1] if f"{path.stem}_".startswith(f"test_{stem}_")), None)
        == module.stem
    ]


def name_of(module: Path) -> str:
    """Return the name by which a module is imported."""
    return ".".join(module.with_suffix("").parts)
