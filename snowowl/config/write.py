"""The keys of `[write]`: whether clients may upload, what, under which names, and how much."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Literal

import attrs

from snowowl.config.constraints import Check, Range, check_text
from snowowl.config.keys import changed, doc
from snowowl.config.words import show

Pattern = Annotated[str, Check(check_text)]

SIZE_MAX_DEFAULT = 1 << 30
"""1 GiB: larger than the disk images that switches and boards upload, smaller than a disk."""

FREE_MIN_DEFAULT = 64 << 20

UNIQUE_NAME_MAX = 100
"""Octets of a template: what it makes must be a file's name, of at most 255."""

UNIQUE_FIELDS = ("name", "stem", "suffix", "client", "port", "date", "time", "number")
"""What `unique_name` may hold, in braces."""


def check_mode(text: str) -> int:
    """Return the permissions that an octal text means.  Raises ValueError."""
    digits = text.removeprefix("0o")
    if not 1 <= len(digits) <= 4 or not set(digits) <= set("01234567"):
        raise ValueError(f"must be permissions in octal like 0640, not {show(text)}")
    mode = int(digits, 8)
    if mode & ~0o666:
        raise ValueError(f"may hold read and write permissions only, not {show(text)}")
    if mode & 0o600 != 0o600:
        raise ValueError(f"must let the owner read and write, not {show(text)}")
    return mode


def check_unique_name(text: str) -> None:
    """Refuse a template that does not make unique names.  Raises ValueError."""
    check_text(text)
    if len(text.encode(errors="surrogateescape")) > UNIQUE_NAME_MAX:
        raise ValueError(f"may have at most {UNIQUE_NAME_MAX} octets, unlike {show(text)}")
    if "/" in text or "\\" in text:
        raise ValueError(f"must be a name without folders, not {show(text)}")
    try:
        fields = [field for _, field, form, conversion in string.Formatter().parse(text) if field]
        plain = all(
            not form and not conversion
            for _, field, form, conversion in string.Formatter().parse(text)
            if field
        )
    except ValueError as error:
        raise ValueError(f"{error}: {show(text)}") from None
    for field in fields:
        if field not in UNIQUE_FIELDS:
            known = ", ".join(f"{{{name}}}" for name in UNIQUE_FIELDS)
            raise ValueError(f"knows no {{{field}}}; there are {known}")
    if not plain:
        raise ValueError(f"takes fields without a format, not {show(text)}")
    if "number" not in fields:
        raise ValueError(f"must hold {{number}}, which makes the name unique, unlike {show(text)}")


@attrs.frozen(kw_only=True)
class WriteConfig:
    """The `[write]` table."""

    enabled: bool = attrs.field(
        default=False,
        metadata=doc(
            "Let clients write files. TFTP knows no passwords: everybody who reaches the port may.",
        ),
    )
    overwrite: bool = attrs.field(
        default=False,
        metadata=doc(
            "Let an upload replace a file that exists, if its permissions let the server write it.",
        ),
    )
    create: bool = attrs.field(
        default=True,
        metadata=doc(
            "Let an upload make a new file. If not, only files that exist may be written, which"
            " needs overwrite.",
        ),
    )
    patterns: tuple[Pattern, ...] = attrs.field(
        default=("*",),
        metadata=doc(
            'Names that may be written, as shell patterns for the whole name beneath the root: "*"'
            ' also matches "/".',
        ),
    )
    unique: Literal["off", "if-taken", "always"] = attrs.field(
        default="off",
        metadata=doc(
            'Whether an upload gets a name of its own, made by unique_name. "if-taken": when its'
            ' name exists, instead of being refused or replacing the file. "always": each upload.',
        ),
    )
    unique_name: Annotated[str, Check(check_unique_name)] = attrs.field(
        default="{name}.{number}",
        metadata=doc(
            "How such a name is made, in the same folder: {name}, {stem} and {suffix} are of the"
            " name that was asked for, {client} and {port} of the client, {date} and {time} are UTC"
            " (20261129, 214730), {number} is the first from 1 to 9999 that makes a new name.",
        ),
    )
    mode: Annotated[str, Check(check_mode)] = attrs.field(
        default="0640",
        metadata=doc(
            "The permissions of a new file, in octal, less the umask that the server was started"
            " with. A file that is replaced leaves its permissions to the new one.",
        ),
    )
    size_max: Annotated[int, Range(0, (1 << 63) - 1)] = attrs.field(
        default=SIZE_MAX_DEFAULT,
        metadata=doc(
            "The largest upload, in octets.",
        ),
    )
    quota: Annotated[int, Range(0, (1 << 63) - 1)] = attrs.field(
        default=0,
        metadata=doc(
            "How many octets the files beneath the root whose names may be written (patterns) may"
            " have together; an upload that would exceed it is refused. They are counted at the start"
            " and once a minute. 0: no limit.",
        ),
    )
    free_min: Annotated[int, Range(0, (1 << 63) - 1)] = attrs.field(
        default=FREE_MIN_DEFAULT,
        metadata=doc(
            "How many octets of the file system must stay free: an upload ends before there are"
            " less.",
        ),
    )

    def unused(self) -> Iterator[tuple[str, str]]:
        """Yield each key that has no effect, or lets nothing be written, and why."""
        if not self.enabled:
            for key in changed(self):
                yield f"write.{key}", "has no effect while write.enabled is false"
            return
        if not self.create and not self.overwrite:
            yield (
                "write.create",
                "nothing can be written while write.create and write.overwrite are both false",
            )
        elif not self.create and self.unique != "off":
            yield (
                "write.create",
                f'nothing can be written while it is false and write.unique is "{self.unique}"',
            )
        if not self.patterns:
            yield "write.patterns", "nothing can be written while there are no patterns"
        if self.unique == "off" and "unique_name" in changed(self):
            yield "write.unique_name", 'has no effect while write.unique is "off"'
        if self.unique != "off" and self.overwrite:
            yield "write.overwrite", f'has no effect while write.unique is "{self.unique}"'
