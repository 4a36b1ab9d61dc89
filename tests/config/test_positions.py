"""The line of every key, in every form that TOML has for it."""

from __future__ import annotations

import attrs
import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config.positions import Positions, Repeat, locate
from snowowl.config.words import KeyPath

SAMPLE = '''\
# a comment with [a] = "quotes
[server]
listen = [ # [x]
  "a",
  "b]", """x
"""", 'q'
]
port."x y".z = {a = 1, b.c = [1,
2]}

[[boards]]
  [boards.net]
  k = 1979-05-27 07:32:00 # x
[[boards]]
k = \'\'\'
\'\'\'
[ log . "le\\u0076el\\t" ]
[server.late]
'''


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("server",), 2),
        (("server", "listen"), 3),
        (("server", "listen", 0), 4),
        (("server", "listen", 1), 5),
        (("server", "listen", 2), 5),
        (("server", "listen", 3), 6),
        (("server", "port"), 8),
        (("server", "port", "x y"), 8),
        (("server", "port", "x y", "z", "a"), 8),
        (("server", "port", "x y", "z", "b", "c", 0), 8),
        (("server", "port", "x y", "z", "b", "c", 1), 9),
        (("boards",), 11),
        (("boards", 0, "net"), 12),
        (("boards", 0, "net", "k"), 13),
        (("boards", 1), 14),
        (("boards", 1, "k"), 15),
        (("log",), 17),
        (("log", "level\t"), 17),
        (("server", "late"), 18),
    ],
)
def test_every_form(path: KeyPath, line: int, newline: str) -> None:
    positions = locate(SAMPLE.replace("\n", newline))
    assert positions.lines[path] == line
    assert positions.repeats == ()


def test_what_is_unknown_is_on_the_line_around_it() -> None:
    positions = locate("\n[server]\nlisten = [\n1]\n")
    assert positions.line(("server", "listen", 0, "x", "y")) == 4
    assert positions.line(("server", "tid")) == 2
    assert positions.line(("log", "level")) == 0
    assert positions.line(()) == 0


@pytest.mark.parametrize(
    ("text", "repeat"),
    [
        ("a = 1\na = 2\n", Repeat(("a",), 1, 2)),
        ("[t]\na = 1\nb = 1\n'a' = 2\n", Repeat(("t", "a"), 2, 4)),
        ("[t]\na = 1\n[t]\n", Repeat(("t",), 1, 3)),
        ("[t]\na = 1\na.b = 2\n", Repeat(("t", "a"), 2, 3)),
        ("a = 1\n[a]\n", Repeat(("a",), 1, 2)),
        ("x = {a = 1, a = 2}\n", Repeat(("x", "a"), 1, 1)),
    ],
)
def test_repeats(text: str, repeat: Repeat) -> None:
    assert locate(text).repeats == (repeat,)


def test_tables_that_may_be_opened_again_are_no_repeats() -> None:
    text = "[a.b]\n[c]\n[a]\nx.y = 1\nx.z = 2\n[[d]]\nk = 1\n[[d]]\nk = 2\n"
    tomlkit.parse(text)
    assert locate(text).repeats == ()


@pytest.mark.parametrize(
    "broken",
    [
        "b",
        "b =",
        "b = [",
        "b = [#",
        "b = {",
        "b = {x",
        'b = "',
        "[b",
        "[[b]",
        "= 1",
        "b = ]",
        '"\\',
    ],
)
def test_what_stands_before_a_break_is_found(broken: str) -> None:
    assert locate(f"[t]\na = 1\n{broken}").lines[("t", "a")] == 2


def test_nesting_and_long_dotted_keys_end_the_search_quietly() -> None:
    assert locate("a = 1\nb = " + "[" * 100_000).line(("a",)) == 1
    assert locate("a = 1\n" + "b." * 100_000 + "b = 1").lines == {("a",): 1}


def test_an_escape_that_is_no_character_stays_as_it_is() -> None:
    assert locate('"\\UFFFFFFFF\\e\\x41" = 1').lines == {("\\UFFFFFFFF\x1bA",): 1}


@given(st.text() | st.text("ab[]{}=.,#\"'\\\n\r \t1"))
def test_any_text_has_positions_within_it(text: str) -> None:
    positions = locate(text)
    lines = text.count("\n") + 1
    assert all(1 <= line <= lines for line in positions.lines.values())
    assert all(repeat.first <= repeat.second <= lines for repeat in positions.repeats)


@attrs.frozen
class Written:
    """A document with the lines that it was written with."""

    text: str
    lines: dict[KeyPath, int]


VALUES = (
    "1",
    "-0.5e3",
    "true",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    '"a # [b] \\" \\\\"',
    "'c:\\'",
    '"""\n[x]\n= "" \\"""\n"""""',
    "'''\n# ''\n'''",
    "[]",
    "[ 1, # one ]\n 2,\n]",
    '["]", [\n"}"]]',
    "{}",
    '{ a = 1, "b c".d = [1,\n2] }',
)
FILLERS = ("\n", "# [server]\n", "  # a = 1\n", "\t\n")


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """Write tables (in any order, split in two) with unique keys, counting the lines."""
    text, lines, serial = "", dict[KeyPath, int](), 0
    names = draw(st.permutations(["one", "two", "one.in", "two.in.deep"]))
    headers: list[KeyPath] = [(), *(tuple(name.split(".")) for name in names)]
    for header in headers:
        text += "".join(draw(st.lists(st.sampled_from(FILLERS), max_size=2)))
        if header:
            for end in range(1, len(header) + 1):
                lines.setdefault(header[:end], text.count("\n") + 1)
            text += f"[{draw(st.sampled_from(['.', ' . '])).join(map(str, header))}] # x\n"
        for _ in range(draw(st.integers(0, 3))):
            serial += 1
            form, key = draw(
                st.sampled_from(
                    [
                        (f"k{serial}", (f"k{serial}",)),
                        (f'"k {serial}"', (f"k {serial}",)),
                        (f"'k.{serial}'", (f"k.{serial}",)),
                        (f'k{serial} . "\\u00e9"', (f"k{serial}", "é")),
                    ]
                )
            )
            for end in range(1, len(key) + 1):
                lines[(*header, *key[:end])] = text.count("\n") + 1
            text += f"{form} = {draw(st.sampled_from(VALUES))} # end\n"
    return Written(text, lines)


def paths(value: object, prefix: KeyPath = ()) -> set[KeyPath]:
    """Collect the path of everything in parsed values."""
    found = {prefix} if prefix else set[KeyPath]()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= paths(inner, (*prefix, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths(inner, (*prefix, index))
    return found


@given(documents(), st.sampled_from(["\n", "\r\n"]))
def test_generated_documents(document: Written, newline: str) -> None:
    text = document.text.replace("\n", newline)
    positions: Positions = locate(text)
    assert {path: positions.lines.get(path) for path in document.lines} == document.lines
    assert paths(tomlkit.parse(text).unwrap()) == set(positions.lines)
    assert positions.repeats == ()
