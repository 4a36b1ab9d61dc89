"""Two ways to put changed code in the place of a module's: as it is imported, or afterwards."""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tests.whole_repo.own_tests import ROOT, name_of

Functions = dict[tuple[str, int], list[FunctionType]]
"""Functions by their qualified name and first line: a property's parts share the name."""


class Replacing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, with other code."""

    def __init__(self, module: Path, code: CodeType) -> None:
        self._name = name_of(module)
        self._path = str(ROOT / module)
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def functions_of(module: Path) -> Functions:
    """Return every function that was made of a module's source, wherever it is kept."""
    path, found = str(ROOT / module), Functions()
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == path:
            code = each.__code__
            found.setdefault((code.co_qualname, code.co_firstlineno), []).append(each)
    return found


def exchange(functions: Functions, changed: CodeType) -> bool:
    """Give functions their changed code; False if that is not all that was changed, or none was."""
    exchanged = False
    for code in _codes(changed):
        for function in functions.get((code.co_qualname, code.co_firstlineno), ()):
            if function.__code__ == code:
                continue
            if function.__code__.co_freevars != code.co_freevars:
                return False
            function.__code__ = code
            exchanged = True
    return exchanged


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
