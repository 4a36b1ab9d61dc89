"""Cases: which file a name means, and what is refused, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.differential import tree
from tests.differential.steps import Case, ask_for, case, fetch, hear

_NAMES: Final = (
    ("plain", b"short", "a name"),
    ("leading-slash", b"/short", "GRUB and PXELINUX put / before names: it means the root"),
    ("leading-slashes", b"//short", "two slashes before a name"),
    ("double-slash", b"sub//inner", "two slashes in a name"),
    ("trailing-slash", b"short/", "a slash after a file's name"),
    ("backslash", b"sub\\inner", "a backslash, as Windows boot loaders write it"),
    ("leading-backslash", b"\\sub\\inner", "a backslash at the start"),
    ("dot", b"./short", "a dot before a name"),
    ("dot-inside", b"sub/./inner", "a dot in a name"),
    ("dotdot-inside", b"sub/../short", "up and down again, within the root"),
    ("dotdot-file", b"..short", "two dots that begin a name and are no step up"),
    ("dotdot-outside", b"../" + tree.OUTSIDE.encode(), "up, out of the root"),
    ("dotdot-root", b"/../" + tree.OUTSIDE.encode(), "up from the root"),
    ("dotdot-deep", b"sub/../../" + tree.OUTSIDE.encode(), "up, out of the root from a folder"),
    ("dotdot-backslash", b"..\\outside\\secret", "up, out of the root by backslashes"),
    ("dotdot-missing", b"nowhere/../short", "up from a folder that is not there"),
    ("dotdot-back", b"../root/short", "out of the root and back"),
    ("absolute", b"/etc/passwd", "an absolute path of the machine"),
    ("absolute-root", b"{root}/short", "the absolute path of a file in the root"),
    ("absolute-outside", b"{home}/outside/secret", "the absolute path of a file beside the root"),
    ("home", b"~/short", "a tilde"),
    ("drive", b"C:\\short", "a drive's letter"),
    ("upper-case", b"SHORT", "another case than the file's"),
    ("lower-case", b"upper", "another case than the file's"),
    ("trailing-blank", b"short ", "a blank after the name"),
    ("trailing-newline", b"short\n", "a line's end after the name"),
    ("trailing-ff", b"short\xff", "0xFF after the name, as from some boot ROMs"),
    ("trailing-blank-real", b"tail ", "a file whose name does end in a blank"),
    ("leading-blank", b" short", "a blank before the name"),
    ("blank-inside", b"with space", "a blank in the name"),
    ("percent", b"percent%41", "a percent sign, which is no escape"),
    ("percent-escape", b"shor%74", "an escape as in a URL, which TFTP has not"),
    ("utf-8", "\N{SNOWMAN}".encode(), "a name in UTF-8"),
    ("latin-1", b"caf\xe9", "a name that is no UTF-8"),
    ("control", b"sh\x07ort", "a control character in a name"),
    ("hidden", b".hidden", "a hidden file"),
    ("empty", b"", "no name"),
    ("slash-only", b"/", "a slash for a name"),
    ("dot-only", b".", "a dot for a name"),
    ("dotdot-only", b"..", "two dots for a name"),
    ("missing", b"missing", "a file that is not there"),
    ("missing-folder", b"nowhere/short", "a folder that is not there"),
    ("below-a-file", b"short/inner", "a file that is taken for a folder"),
    ("folder", b"sub", "a folder"),
    ("folder-slash", b"sub/", "a folder with a slash"),
    ("folder-empty", b"empty-folder", "an empty folder"),
    ("deep", b"sub/deep/er", "a file two folders down"),
    ("long-100", b"n" * 100, "100 octets of name"),
    ("long-255", b"n" * 255, "255 octets of name"),
    ("long-256", b"n" * 256, "256 octets of name"),
    ("long-500", b"n" * 500, "500 octets of name"),
    ("long-path", b"sub/" * 100 + b"inner", "a path of 100 folders that are not there"),
    ("long-dots", b"./" * 200 + b"short", "200 times the same folder, then a file that is there"),
    ("link-inside", b"link-inside", "a link within the root"),
    ("link-chain", b"link-chain", "a link to a link"),
    ("link-up", b"link-up", "a link that goes out of the root and comes back"),
    ("link-absolute", b"link-absolute", "a link by the absolute path of a file in the root"),
    ("link-outside", b"link-outside", "a link out of the root"),
    ("link-folder", b"link-folder/inner", "a link to a folder within the root"),
    ("link-folder-outside", b"link-folder-outside/secret", "a link to a folder outside"),
    ("link-dangling", b"link-dangling", "a link to nothing"),
    ("link-loop", b"link-loop", "a link to itself"),
    ("unreadable", b"unreadable", "a file that nobody may read"),
    ("owner-only", b"owner-only", "a file that only root may read"),
    ("group-only", b"group-only", "a file that the server's group may read, the world not"),
    ("locked-folder", b"locked/inner", "a file in a folder that only root may enter"),
    ("fifo", b"fifo", "a named pipe, which must not block the server"),
    ("socket", b"socket", "a socket"),
)

_QUICK: Final = {
    "plain", "leading-slash", "double-slash", "backslash", "dotdot-outside", "dotdot-inside",
    "absolute", "trailing-ff", "empty", "missing", "folder", "link-inside", "link-outside",
    "owner-only",
}  # fmt: skip


def cases() -> Iterator[Case]:
    """Yield them."""
    for name, octets, about in _NAMES:
        yield case(
            f"name-{name}",
            about,
            *(ask_for(octets), hear(), fetch()),
            quick=name in _QUICK,
            last=name == "fifo",  # dnsmasq waits for the other end, and serves nobody meanwhile
        )
