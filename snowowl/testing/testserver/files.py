"""The files that a test serves: a folder that looks like a dictionary.  No TFTP here.

Every change is whole at once: a file is written beside its place and renamed, so that a transfer
that runs ends with the octets that it began with, and the next one gets the new ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

Content = bytes | bytearray | memoryview | os.PathLike[str]
"""The octets of a file, or the path of a file, or of a folder, that is copied when it is set."""

Files = Mapping[str, Content] | os.PathLike[str]
"""Names and contents; or the path of a folder, all of which is copied."""


_COPIED_AT_ONCE: Final = 1 << 20


class ServedFiles(MutableMapping[str, Content]):
    """The files beneath a root, by their names: `files["dtb/board.dtb"] = b"..."`.

    Names are relative and use `/`.  To set one to the path of a folder copies what is in it.
    To read one gives its octets, uploaded ones too.
    """

    def __init__(self) -> None:
        self._root: Path | None = None

    @property
    def root(self) -> Path:
        """The folder where they are.  Raises RuntimeError before the server was started."""
        if self._root is None:
            raise RuntimeError("the server has not been started: enter it, or call start()")
        return self._root

    @root.setter
    def root(self, root: Path) -> None:
        self._root = root

    def __getitem__(self, name: str) -> bytes:
        """Return the octets of a file.  Raises KeyError."""
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(name) from None

    def __setitem__(self, name: str, content: Content) -> None:
        """Make a file, or replace it.  Raises TypeError, ValueError, OSError."""
        path = self._path(name)
        if isinstance(content, str):  # for those who do not check their types
            raise TypeError(
                f"{name!r} is set to a str, which may mean a path or a text:"
                " give pathlib.Path(...), or the text's .encode()"
            )
        if isinstance(content, os.PathLike) and Path(content).is_dir():
            self._copy_folder(Path(content), path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False)  # noqa: SIM115
        new = Path(file.name)
        try:
            with file:
                if isinstance(content, os.PathLike):
                    with Path(content).open("rb") as source:
                        shutil.copyfileobj(source, file, _COPIED_AT_ONCE)
                else:
                    file.write(content)
            new.chmod(0o644)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def __delitem__(self, name: str) -> None:
        """Take a file away.  Raises KeyError."""
        try:
            self._path(name).unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all files, sorted; temporary ones of uploads are none."""
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not path.name.startswith((".snowowl-", ".new-")):
                yield path.relative_to(self.root).as_posix()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        names = [] if self._root is None else list(self)
        return f"<files {', '.join(names) or 'none'}>"

    def take(self, files: Files) -> None:
        """Set all of these files.  Raises as setting one does."""
        if isinstance(files, str):  # for those who do not check their types
            raise TypeError(f"{files!r} is a str: give pathlib.Path(...) for a folder")
        if isinstance(files, os.PathLike):
            folder = Path(files)
            if not folder.is_dir():
                raise NotADirectoryError(
                    f"{folder} is no folder: give a folder, or names and contents as a dictionary"
                )
            self._copy_folder(folder, self.root)
            return
        self.update(files)

    def _copy_folder(self, source: Path, target: Path) -> None:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                self[(target / path.relative_to(source)).relative_to(self.root).as_posix()] = path

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise ValueError(
                f"{name!r} is no name of a file here: names are relative, with / between folders,"
                " and have no empty part, no . and no .."
            )
        return self.root.joinpath(*parts)
