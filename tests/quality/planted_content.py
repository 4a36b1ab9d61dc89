"""Bugs of names, of confinement, of uploads and of files that change."""

from __future__ import annotations

import os
from collections.abc import Sequence

from snowowl.content import names, uploads
from snowowl.content.beneath import Directory, Root
from snowowl.content.errors import ContentError
from snowowl.content.mapped import MappedFile
from snowowl.content.names import NameRules
from snowowl.content.openat2 import Openat2
from snowowl.content.sink import Sink
from snowowl.content.store import Store
from snowowl.content.temporary import Temporary
from snowowl.content.text import TextIndex
from snowowl.wire.constants import HEADER_SIZE, ErrorCode
from tests.quality.planting import Patch, bug, everywhere


@bug("SECURITY: nothing outside the root", found_by="any name", usually=500)
def climbs(patch: Patch) -> None:
    """`..` is refused at the beginning of a name only: `a/../../../etc/passwd` is served."""

    def components(
        name_untrusted: bytes, rules: NameRules, *, writing: bool = False
    ) -> tuple[bytes, ...]:
        parts = tuple(part for part in name_untrusted.split(b"/") if part not in (b"", b"."))
        if not parts or parts[0] == b"..":
            raise ContentError(ErrorCode.ACCESS_VIOLATION, "access violation")
        return parts

    everywhere(patch, names.components, components)


def _open_by_path(self: Root, components: Sequence[bytes], flags: int, mode: int = 0) -> int:
    try:
        return os.open(os.path.join(self._path, *components), flags, mode)  # noqa: PTH118
    except (OSError, ValueError) as error:
        raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found") from error


@bug("SECURITY: nothing outside the root", found_by="worlds", usually=20)
def escape_by_symlink(patch: Patch) -> None:
    """A symbolic link that leads out of the root is followed."""
    patch(Openat2, "open_cached", lambda self, path, flags: None)
    patch(Root, "open", _open_by_path)


@bug("SECURITY: nothing outside the root", found_by="any path", usually=500)
def escape_by_symlink_in_a_tree(patch: Patch) -> None:
    """A symbolic link that leads out of the root is followed."""
    escape_by_symlink(patch)


@bug("SECURITY: never a string prefix", found_by="worlds", usually=20)
def escape_by_prefix(patch: Patch) -> None:
    """What resolves to a path that begins like the root's is served: /srv/tftp-secret, say."""

    def by_prefix(self: Root, components: Sequence[bytes], flags: int, mode: int = 0) -> int:
        path = os.path.realpath(os.path.join(self._path, *components))  # noqa: PTH118
        if not path.startswith(self._path):
            raise ContentError(ErrorCode.ACCESS_VIOLATION, "access violation")
        return _open_by_path(self, components, flags, mode)

    patch(Openat2, "open_cached", lambda self, path, flags: None)
    patch(Root, "open", by_prefix)


@bug("nothing partial under the final name", found_by="worlds", usually=20)
def partial_file_visible(patch: Patch) -> None:
    """An upload grows under its final name."""
    real = Temporary.__init__

    def init(
        self: Temporary, directory: Directory, name: bytes, kind: str, **others: object
    ) -> None:
        real(self, directory, name, "named", **others)  # type: ignore[arg-type]
        assert self._hidden is not None
        os.rename(self._hidden, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        self._hidden = name

    def publish(self: Temporary, *, overwrite: bool) -> None:
        self._hidden = None

    patch(Temporary, "__init__", init)
    patch(Temporary, "publish", publish)


@bug("nothing partial under the final name", found_by="an upload cancelled at each step", usually=1)
def partial_file_left(patch: Patch) -> None:
    """An upload that is given up is published as far as it has come."""
    real = Temporary.close

    def close(self: Temporary) -> None:
        if self.is_open and self._fd >= 0:
            self._publish_anonymous(overwrite=True)
        real(self)

    patch(Temporary, "close", close)


@bug("a cancelled upload leaves no trace", found_by="worlds", usually=30)
def temporary_file_left(patch: Patch) -> None:
    """The temporary file of an upload that is given up stays."""
    real = Temporary.__init__

    def init(
        self: Temporary, directory: Directory, name: bytes, kind: str, **others: object
    ) -> None:
        real(self, directory, name, "named", **others)  # type: ignore[arg-type]

    patch(Temporary, "__init__", init)
    patch(uploads, "Temporary", Temporary)
    close = Temporary.close

    def leave(self: Temporary) -> None:
        self._hidden = None
        close(self)

    patch(Temporary, "close", leave)


@bug("no descriptor is left", found_by="worlds", usually=20)
def descriptor_leaked_on_refusal(patch: Patch) -> None:
    """An upload that the policy refuses leaves its directory open."""
    patch(Directory, "close", lambda self: None)


@bug("no descriptor is left", found_by="worlds", usually=20)
def descriptor_leaked_by_missing_file(patch: Patch) -> None:
    """Each request for a file that is missing opens something and forgets it."""
    real = Store.open_now

    def open_now(self: Store, name_untrusted: bytes, **others: object) -> object:
        try:
            return real(self, name_untrusted, **others)  # type: ignore[arg-type]
        except ContentError:
            os.open("/", os.O_RDONLY)
            raise

    patch(Store, "open_now", open_now)


@bug("durable before it is acknowledged", found_by="an upload reaches the disk", usually=1)
def renamed_before_it_is_on_disk(patch: Patch) -> None:
    """An upload gets its name first, and reaches the disk whenever the kernel likes."""

    def publish(self: Temporary, *, overwrite: bool) -> None:
        if self._hidden is None:
            self._publish_anonymous(overwrite=overwrite)
        else:
            self._publish_named(self._hidden, overwrite=overwrite)
        os.fsync(self._fd)
        self._sync_directory()

    patch(Temporary, "publish", publish)


@bug("one version of a file, to its end", found_by="worlds", usually=30)
def file_changed_underneath(patch: Patch) -> None:
    """A file that is rewritten in place while it is sent arrives as a mixture."""
    patch(MappedFile, "check", lambda self: None)


@bug("RFC 1350 1", found_by="worlds", usually=30)
def text_encoded_piece_by_piece(patch: Patch) -> None:
    """Of text, only the piece that was loaded last is looked at: the rest of a block is missing."""
    real = TextIndex.range

    def pieces(self: TextIndex, offset: int, length: int) -> range:
        found = real(self, offset, length)
        return found[:1]

    patch(TextIndex, "range", pieces)


@bug("octets that were lent are gone with the next receive", found_by="worlds", usually=20)
def kept_arena_view(patch: Patch) -> None:
    """An upload keeps views into the receive arena instead of a copy."""

    def store(self: Sink, data: memoryview, stride: int, count: int) -> None:
        for start in range(0, stride * count, stride):
            piece = memoryview(data)[start + HEADER_SIZE : start + stride]
            self.octets += len(piece)
            self._held += len(piece)
            self._pieces.append(piece)  # type: ignore[arg-type]

    patch(Sink, "store", store)


@bug("write.size_max", found_by="worlds", usually=30)
def size_not_bounded(patch: Patch) -> None:
    """An upload may be as large as it likes, if it does not say so beforehand."""
    real = Sink.store

    def store(self: Sink, data: memoryview, stride: int, count: int) -> None:
        self._size_max = 1 << 60
        real(self, data, stride, count)

    patch(Sink, "store", store)
