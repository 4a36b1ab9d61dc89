"""All that is generated, by where it lies beneath `share`."""

from __future__ import annotations

from pathlib import Path

from snowowl.cli.manual.config_page import config_page
from snowowl.cli.manual.pages import command_pages
from snowowl.cli.manual.shells import bash, fish, zsh
from snowowl.cli.manual.tree import program

SHARE = Path(__file__).parents[1] / "share"
"""In the repository; a wheel installs it beneath the prefix, and not here."""


def generated() -> dict[str, str]:
    """Return the text of every file by its path beneath `share`."""
    tree = program()
    return {
        **{f"man/man1/{name}": text for name, text in command_pages(tree).items()},
        "man/man5/snowowl.toml.5": config_page(),
        "bash-completion/completions/snowowl": bash(tree),
        "zsh/site-functions/_snowowl": zsh(tree),
        "fish/vendor_completions.d/snowowl.fish": fish(tree),
    }


def write(share: Path) -> None:
    """Write every file, and remove what is generated no more."""
    texts = generated()
    for path in share.rglob("*"):
        if path.is_file() and path.relative_to(share).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
