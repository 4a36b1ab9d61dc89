"""Files and text: every problem with its line, and never anything but ConfigError."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config import Config
from snowowl.config.load import SIZE_MAX, load_config, parse_config
from snowowl.config.problems import ConfigError


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, file="f.toml")
    return str(caught.value).split("\n")


def test_a_file_of_every_table() -> None:
    config = parse_config(
        """
        server.tid = "own"
        [protocol]
        windowsize_max = 16
        [log]
        level = "debug"
        [names]
        [write]
        [limits]
        """
    )
    assert config.server.tid == "own"
    assert config.protocol.windowsize_max == 16
    assert config.log.level == "debug"


def test_tables_out_of_order_are_one_table() -> None:
    text = "[server]\n[log]\nformat = 'json'\n[server.x]\ny = 1\n"
    assert problems(text) == ["f.toml:4: server.x: unknown key"]


def test_all_problems_at_once_with_their_lines() -> None:
    text = """\
[server]
listen = [
  "*:69",
  "router:69",
]
tid = "shard"
blksize_max = 512

[protocol]
windowsize_max = 0
timeout_max_seconds = 0.5
retries = "5"

[lgo]
"""
    expected = """\
f.toml:4: server.listen[1]: "router:69": "router" is not a literal address (names are not looked up): write ADDR:PORT, [v6]:PORT or "*:PORT"
f.toml:6: server.tid: must be one of "shared", "own", "listen", not "shard" (did you mean "shared"?)
f.toml:7: server.blksize_max: unknown key (belongs in [protocol])
f.toml:10: protocol.windowsize_max: must be from 1 to 65535, not 0
f.toml:11: protocol.timeout_max_seconds: timeout_initial_seconds (1.0) must not be above timeout_max_seconds (0.5)
f.toml:12: protocol.retries: must be an integer, not "5" (write it without quotes)
f.toml:14: lgo: unknown key (did you mean log?)"""
    assert "\n".join(problems(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[performance]\n[performance.platform]\n[performance.platform.batch]\nmax_batch_size = 0\n",
        "\n[performance.platform]\n\nbatch.max_batch_size = 0\n",
        "[performance.sockets]\n[performance]\n[performance.platform.batch]\nmax_batch_size = 0",
        "\n\n[performance]\nplatform = {rung = 'mmsg', batch = {max_batch_size = 0}}\n",
    ],
    ids=["headers", "dotted", "out of order", "inline"],
)
def test_problems_of_tables_in_tables_have_their_lines(text: str) -> None:
    assert problems(text) == [
        "f.toml:4: performance.platform.batch.max_batch_size: must be from 1 to 1024, not 0"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n[server\n", "f.toml:2: the line ends where a value or a bracket is missing"),
        ("\n[server", "f.toml:2: unexpected end of file"),
        ("a = 1\n\na = 2\n", "f.toml:3: a: is there twice; the first is on line 1"),
        (
            '[server]\ntid = "own"\ntid = "own"\n',
            "f.toml:3: server.tid: is there twice; the first is on line 2",
        ),
        ("[log]\n[names]\n[log]\n", "f.toml:3: log: is there twice; the first is on line 1"),
        (
            "[server]\ntid = shared # x\n",
            "f.toml:2: unexpected character: 's' (text goes in quotes: tid = \"shared\")",
        ),
        (
            "[server]\nlisten = *:69\n",
            "f.toml:2: unexpected character: '*' (text goes in quotes: listen = \"*:69\")",
        ),
        (
            "write.enabled = Yes",
            "f.toml:1: unexpected character: 'Y' (write write.enabled = true)",
        ),
        ("a = \n", "f.toml:1: the line ends where a value or a bracket is missing"),
        ("a = 1 2\n", "f.toml:1: unexpected character: '2'"),
        ("\na = [1,\n", "f.toml:2: the text ends inside of a value or a table's name"),
        ('a = 1\nb = "x\n', "f.toml:2: a string is not closed on its line"),
        ('a = "\0"\n', "f.toml:1: "),
        ("# \u2028 \x85\n\na = x\n", "f.toml:3: unexpected character: 'x'"),
    ],
)
def test_syntax(text: str, message: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(message)
    assert " at line " not in problem


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 50_000,
        "a = " + "{a = " * 50_000,
        "a = " + "[" * 50_000 + "]" * 50_000,
        ".".join("a" * 50_000) + " = 1",
        "[" + ".".join("a" * 50_000) + "]",
    ],
    ids=["arrays", "inline tables", "closed arrays", "dotted key", "header"],
)
def test_deep_nesting_is_a_problem(text: str) -> None:
    (problem,) = problems(text)
    assert "nested" in problem
    assert len(problem) < 200


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "1e999", "-inf"])
def test_numbers_that_python_cannot_hold_or_print(number: str) -> None:
    (problem,) = problems(f"[protocol]\n\nretries = {number}\n")
    assert problem.startswith("f.toml:3: ")
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RecursionError("maximum recursion depth exceeded"), "f.toml: is nested too deeply"),
        (IndexError("Pop from empty"), "f.toml: pop from empty"),
        (AttributeError(), "f.toml: AttributeError"),
    ],
)
def test_whatever_the_parser_raises_is_a_problem(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of tomlkit differ in what they raise on odd text."""

    def parse(text: str) -> None:
        raise error

    monkeypatch.setattr("tomlkit.parse", parse)
    assert problems("") == [message]


def test_keys_and_values_cannot_forge_lines() -> None:
    (problem,) = problems('"a\\nf.toml:9: b" = "\\u001b[2J"\n')
    assert problem == 'f.toml:1: "a\\nf.toml:9: b": unknown key'


def test_text_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "too large" in problems("#" * (SIZE_MAX + 1))[0]
    monkeypatch.setattr("snowowl.config.load.SIZE_MAX", 100)  # a MiB takes half a second
    assert parse_config("#" * 100) == Config()


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf[log]\r\nlevel = 'debug'\r\n")
    assert load_config(file).log.level == "debug"
    assert parse_config("\ufeff[log]\r\nlevel = 'debug'\r\n").log.level == "debug"


def test_a_relative_root_is_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.toml"
    file.write_text("server.root = 'boot'\n")
    assert load_config(file).server.root == tmp_path / "boot"
    assert load_config(os.fspath(file)).server.root == tmp_path / "boot"
    monkeypatch.chdir(tmp_path)
    assert load_config("a.toml").server.root == Path("boot")
    file.write_text("server.root = '/srv'\n")
    assert load_config(file).server.root == Path("/srv")


def test_a_root_that_is_not_set_is_not_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[server]\n")
    assert load_config(file).server.root == Path()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("latin1", "[log]\nlevel = 'é'\n".encode("latin-1"), ":2: octet 0xE9 is not UTF-8"),
        ("utf16", "[log]\n".encode("utf-16"), ": is UTF-16: save it as UTF-8"),
        ("large", b"#" * (SIZE_MAX + 1), ": is too large"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_config(file)
        assert str(caught.value).startswith(f"{file}{message}")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, message in (
        (tmp_path, "is a folder: name the file in it"),
        (tmp_path / "none", "there is no such file; `snowowl config init FILE` writes one"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (Path("a\0b"), "cannot be read: "),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        (problem,) = caught.value.problems
        assert problem.message.startswith(message)
        assert problem.line == 0


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", os.fspath(path), mode)

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read all
    with pytest.raises(ConfigError, match="may not be read by this user"):
        load_config(tmp_path / "a.toml")


def check(text: str) -> None:
    """Hold the promise of this module to one text."""
    try:
        config = parse_config(text, file="f.toml")
    except ConfigError as error:
        found = error.problems
        rendered = str(error)
    else:
        assert isinstance(config, Config)
        return
    assert found
    assert len(rendered.split("\n")) == len(found)
    assert rendered.replace("\n", "").isprintable()
    for problem in found:
        assert 0 <= problem.line <= text.count("\n") + 1
        assert problem.line or "nested" in problem.message, rendered


@given(st.text(st.characters(categories=None)) | st.text("ab[]{}=.,#\"'\\\n\r \t1-:"))
def test_any_text(text: str) -> None:
    check(text)


@given(data=st.binary())
def test_any_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(data)
    try:
        config = load_config(file)
    except ConfigError as error:
        assert str(error)  # noqa: PT017 - either way is fine, but nothing else
    else:
        assert isinstance(config, Config)


HEADERS = (
    *("[server]", "[protocol]", "[write]", "[log]", "[sever]", "[[server]]", "[server.x]"),
    *("[performance]", "[performance.platform]", "[performance.platform.batch]"),
)
KEYS = (
    *("listen", "root", "tid", "port_range", "mtu", "retries", "enabled", "patterns", "bogus"),
    *("workers", "rung", "batch", "max_batch_size", "platform"),
)
VALUES = (
    *("1", "-1", "70000", "1.5", "nan", "inf", "true", "0xffffffffffffffffffffffffffffffffffff"),
    *('"own"', '"*:69"', "'none'", '""', '"\\u0000"', '"""\na"""', "1979-05-27", "07:32:00"),
    *("[]", "[1, 2]", "[2, 1]", '["*:69"]', '[\n"*:69", # x\n"x:1"]', "{}", "{a = 1}", "[[1], {}]"),
    *("shared", "yes", ""),
)
PREFIXES = (
    *("", "", "server.", "protocol.", "server.listen.", '"".', "a.b.c."),
    *("performance.", "performance.platform.", "performance.platform.batch.", "platform.batch."),
)


@st.composite
def near_documents(draw: st.DrawFn) -> str:
    """Write what looks like a configuration; then cut, double or drop a piece of it."""
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        if draw(st.integers(0, 2)):
            prefix, key = draw(st.sampled_from(PREFIXES)), draw(st.sampled_from(KEYS))
            lines.append(f"{prefix}{key} = {draw(st.sampled_from(VALUES))}")
        else:
            lines.append(draw(st.sampled_from(HEADERS)))
    text = "\n".join(lines)
    if draw(st.booleans()):
        first, last = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        text = text[:first] + text[first:last] * draw(st.sampled_from([0, 2])) + text[last:]
    return text


@given(near_documents())
def test_nearly_a_configuration(text: str) -> None:
    check(text)
