"""Man pages: every command, option, variable and key is told of; no text becomes a macro."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.cli import one_liners
from snowowl.cli.manual import roff
from snowowl.cli.manual.config_page import config_page
from snowowl.cli.manual.pages import command_pages
from snowowl.cli.manual.tree import Command, program
from snowowl.config import VARIABLES, Config
from snowowl.config.document import toml_value
from snowowl.config.keys import own_keys, tables
from snowowl.config.schema import plain

PROGRAM = program()
PAGES = command_pages(PROGRAM)


def leaves(command: Command) -> list[Command]:
    return [command, *(leaf for inner in command.commands for leaf in leaves(inner))]


def test_every_command_has_a_page_that_the_first_one_names() -> None:
    assert set(PAGES) == {"snowowl.1", *(f"snowowl-{name}.1" for name in one_liners())}
    for name in one_liners():
        assert f"\\fBsnowowl\\-{name}\\fR(1)" in PAGES["snowowl.1"]


def test_every_option_is_on_its_page() -> None:
    for command in PROGRAM.commands:
        for leaf in leaves(command):
            for option in leaf.options:
                for name in option.names:
                    assert roff.bold(name) in PAGES[f"snowowl-{command.name}.1"], (leaf, name)


@pytest.mark.parametrize("page", ["snowowl.1", "snowowl-serve.1", "snowowl-doctor.1"])
def test_every_variable_is_told_of(page: str) -> None:
    for variable in VARIABLES:
        assert roff.bold(variable.name) in PAGES[page]
    assert roff.bold("SNOWOWL_CONFIG") in PAGES[page]


def test_every_key_with_its_default() -> None:
    page = config_page()
    for path, table in tables(Config).items():
        if path:
            section = page.split(f'.SH "[{".".join(path)}]"\n')[1].split("\n.SH ")[0]
            for key in own_keys(table):
                value = plain(key.default)
                default = "not set" if value is None else toml_value(value)
                own = section.split(f"{roff.bold(key.name)} (")[1].split("\n.TP")[0]
                assert f"Default: {roff.escape(default)}." in own
                assert roff.escape(str(key.metadata["doc"]))[:40] in own
    for variable in VARIABLES:
        assert f"Environment: {variable.name}." in page
    assert "From 1 to 65535" in page


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_no_text_is_a_macro_or_an_escape(text: str) -> None:
    line = roff.line(text)
    assert line[0] not in ".'"
    assert "\\" not in line.replace("\\&", "").replace("\\e", "").replace("\\-", "").replace(
        "\\(", ""
    )


def test_paragraphs() -> None:
    found = list(roff.paragraphs("One\nand two.\n\n\b\nkept   so\n.x\n\nThree."))
    assert found == [
        ".PP",
        "One and two.",
        *(".PP", ".nf", ".RS 4", "kept   so", "\\&.x", ".RE", ".fi"),
        ".PP",
        "Three.",
    ]


def test_what_the_tree_knows() -> None:
    (serve,) = [command for command in PROGRAM.commands if command.name == "serve"]
    by_name = {option.names[-1]: option for option in serve.options}
    assert by_name["--config"].completes == "file"
    assert by_name["--address"].repeated
    assert by_name["--no-overwrite"].placeholder == ""
    assert "json" in by_name["--log-format"].choices
    assert by_name["--help"].names == ("-h", "--help")
    assert serve.arguments[0].completes == "dir"
    (check,) = [command for command in PROGRAM.commands if command.name == "check"]
    timeout = next(option for option in check.options if "--timeout" in option.names)
    assert timeout.help.endswith("[default: 5.0]")
    assert attrs.asdict(check)["summary"] == one_liners()["check"]
