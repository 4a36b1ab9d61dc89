"""From configuration to Landlock: what a process that serves needs of the file system, and no more.

For a process that does nothing but serve; never for a program that embeds the server.  Nothing can
be executed afterwards.  What a configuration that is read later needs beyond this takes a new
process: `Confinement.kept` names the keys.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from snowowl.config import Config
from snowowl.config.listen import ListenAddress, parse_metrics_listen
from snowowl.host.landlock import Access, LandlockError, Rule, restrict
from snowowl.observe.events import Confined, Event, SafetyMissing

_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store")
"""Where Python and the shared libraries of its modules are, in part: imports may come late."""

_FILES: Final = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom")
"""For the loader, for the time of day in the log, and for what does not know getrandom(2)."""

_TOO_WIDE: Final = frozenset(
    Path("/", name) for name in ("", "etc", "home", "root", "usr", "var", "tmp")
)
"""Folders that hold too much of others to be opened for the sake of one file."""


@attrs.frozen
class Confinement:
    """What a process was left with."""

    abi: int
    readable: tuple[Path, ...]
    """Folders that are served, or may be."""
    writable: tuple[Path, ...] = ()
    appendable: tuple[Path, ...] = ()
    socket_folders: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()
    identities: frozenset[tuple[int, int]] = frozenset()
    """Device and inode of the folders that are served: the kernel goes by these, not by paths."""

    def folders(self) -> tuple[str, ...]:
        """Return what to tell people of."""
        every = (*self.readable, *self.writable, *self.appendable, *self.socket_folders)
        return tuple(dict.fromkeys(map(str, every)))

    def covers(self, path: Path, *, write: bool = False) -> bool:
        """Say whether what lies at a path can be served, or written to."""
        folders = self.writable if write else (*self.readable, *self.writable)
        same = tuple(
            folder
            for folder in folders
            if not self.identities or self.identities.issuperset(_identities([folder]))
        )
        return _is_beneath(path, same)

    def kept(self, config: Config) -> Iterator[str]:
        """Yield the keys of another configuration that this process cannot follow."""
        root_stays = not self.covers(config.server.root)
        if root_stays:
            yield "server.root"
        # Of a root that stays it counts what may be done there.
        writable = self.writable if root_stays else self.covers(config.server.root, write=True)
        if config.write.enabled and not writable:
            yield "write.enabled"
        if config.audit.file and not _is_beneath(config.audit.file.parent, self.appendable):
            yield "audit.file"
        port, folder = _metrics(config)
        if port not in (None, *self.ports) or (
            folder is not None and not _is_beneath(folder, self.socket_folders)
        ):
            yield "metrics.listen"


def confine(config: Config, file: Path | None = None) -> Confinement:
    """Confine this process to what a configuration needs.  Raises LandlockError.

    `file` is where the configuration is read anew from.  That, too, is for good.
    """
    root = _real(config.server.root)
    port, socket_folder = _metrics(config)
    writes = config.write.enabled
    wanted = Confinement(
        0,
        readable=() if writes else (root,),
        writable=(root,) if writes else (),
        appendable=() if config.audit.file is None else (_real(config.audit.file.parent),),
        socket_folders=() if socket_folder is None else (_real(socket_folder),),
        ports=() if port is None else (port,),
    )
    rules = [*_rules(wanted), *_surroundings(file)]
    served = frozenset(_identities([root]))
    abi = restrict(rules, bind_ports=wanted.ports)
    return attrs.evolve(wanted, abi=abi, identities=served)


def confine_and_tell(
    config: Config, file: Path | None, tell: Callable[[Event], None]
) -> Confinement | None:
    """Confine this process as far as that can be had, and tell which it was."""
    try:
        confinement = confine(config, file)
    except LandlockError as error:
        tell(
            SafetyMissing(
                f"no Landlock: {error}; nothing but permissions keeps the server to its root"
            )
        )
        return None
    tell(Confined(confinement.abi, confinement.folders()))
    return confinement


def _identities(folders: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Yield what folders are, whatever they are called; a missing one is none that there was."""
    for folder in folders:
        try:
            status = folder.stat()
        except OSError:
            yield (0, 0)
        else:
            yield (status.st_dev, status.st_ino)


def _rules(wanted: Confinement) -> Iterator[Rule]:
    yield from (Rule(path, Access.READ) for path in wanted.readable)
    yield from (Rule(path, Access.WRITE) for path in wanted.writable)
    yield from (Rule(path, Access.APPEND) for path in wanted.appendable)
    yield from (Rule(path, Access.SOCKET) for path in wanted.socket_folders)


def _surroundings(file: Path | None) -> Iterator[Rule]:
    """Yield what every server needs, whatever it serves."""
    yield Rule(Path(os.devnull), Access.DEVICE)
    for path in (*map(Path, (*_LIBRARIES, *_FILES)), *python_folders()):
        yield Rule(path, Access.READ)
    if file is not None:
        # An editor puts another file in its place, which only a rule for the folder admits.
        folder = _real(file.parent)
        yield Rule(_real(file) if folder in _too_wide() else folder, Access.READ)


def python_folders() -> tuple[Path, ...]:
    """Return where modules are imported from: not where the program was started by chance."""
    by_chance = _too_wide() | {_real(Path())}
    searched = [Path(text) for text in sys.path if text]
    here = Path(__file__).parents[1]
    folders = [here, Path(os.__file__).parent, Path(sys.base_prefix, "lib")]
    folders += [path for path in searched if _real(path) not in by_chance]
    return tuple(dict.fromkeys(map(_real, folders)))


def _too_wide() -> frozenset[Path]:
    """Return the folders that are not opened as a whole: somebody's home has keys in it, too."""
    return _TOO_WIDE | {_real(Path(os.environ.get("HOME", "/")))}


def _metrics(config: Config) -> tuple[int | None, Path | None]:
    """Return the TCP port that metrics are told at, or the folder of the socket."""
    if config.metrics.listen is None:
        return None, None
    where = parse_metrics_listen(config.metrics.listen)
    if isinstance(where, ListenAddress):
        return where.port, None
    return None, Path(where.path).parent


def _real(path: Path) -> Path:
    """Return a path without links, as far as it exists: rules are for places, not for names."""
    return Path(os.path.realpath(path))


def _is_beneath(path: Path, folders: tuple[Path, ...]) -> bool:
    real = _real(path)
    return any(real.is_relative_to(folder) for folder in folders)
