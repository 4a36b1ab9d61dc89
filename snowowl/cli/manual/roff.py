"""The man(7) macros that pages are made of, and their escapes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

_ESCAPES = {
    "\\": "\\e",
    "-": "\\-",  # a hyphen would be another character where UTF-8 is printed
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
}


def escape(text: str) -> str:
    """Return text that comes out as it is, wherever it stands in a line."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def line(text: str) -> str:
    """Return text as a line that is no macro, whatever it begins with."""
    escaped = escape(text)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def quoted(text: str) -> str:
    """Return text as one argument of a macro."""
    return '"' + escape(text).replace('"', "\\(dq") + '"'


def bold(text: str) -> str:
    """Return text in bold."""
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    """Return text in italics: what stands for something else."""
    return f"\\fI{escape(text)}\\fR"


def title(name: str, section: int, source: str, manual: str) -> str:
    """Return the first line of a page.  Without a date: it is the version that tells its age."""
    return f'.TH {quoted(name)} {section} "" {quoted(source)} {quoted(manual)}'


def paragraphs(text: str) -> Iterator[str]:
    r"""Yield the lines of help as click has it: `\b` begins a paragraph whose lines stay."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.lstrip(" \n").startswith("\b"):
            kept = block.replace("\b", "", 1).split("\n")
            yield from example(textwrap.dedent("\n".join(filter(str.strip, kept))).split("\n"))
        elif block.strip():
            yield ".PP"
            yield line(" ".join(block.split()))


def example(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that are kept as they are."""
    yield from (".PP", ".nf", ".RS 4")
    for text in lines:
        yield line(text.rstrip()) if text.strip() else "\\&"
    yield from (".RE", ".fi")


def item(tag: str, *texts: str) -> Iterator[str]:
    """Yield a tagged paragraph; `tag` is roff already, the texts are not."""
    yield ".TP"
    yield tag
    for index, text in enumerate(filter(None, texts)):
        if index:
            yield ".IP"
        yield line(text)
    if not any(texts):
        yield "\\&"


def page(lines: Iterable[str]) -> str:
    """Return the text of a page.  A heading begins a paragraph by itself."""
    kept: list[str] = []
    for text in lines:
        if text == ".PP" and kept and kept[-1].startswith((".SH", ".SS")):
            continue
        kept.append(text)
    return "\n".join(kept) + "\n"
