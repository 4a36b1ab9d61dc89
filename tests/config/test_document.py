"""The default file changes nothing and shows everything; what is dumped reads back equal."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import NoneType
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config import (
    Config,
    ProtocolConfig,
    ServerConfig,
    WriteConfig,
)
from snowowl.config.constraints import Check, Range
from snowowl.config.document import WIDTH, default_document, dump_config
from snowowl.config.keys import own_keys, part, tables
from snowowl.config.limits import NetworkText
from snowowl.config.listen import parse_listen
from snowowl.config.load import load_config, parse_config
from snowowl.config.model import Address, UserName
from snowowl.config.outputs import MetricsAddress
from snowowl.config.overlay import override
from snowowl.config.write import Pattern, check_mode, check_unique_name


def all_keys() -> list[tuple[str, str]]:
    """Return each key and its table as a header names it."""
    return [
        (".".join(path), key.name)
        for path, table in tables(Config).items()
        for key in own_keys(table)
    ]


WITHOUT_DEFAULT = [
    (table, key)
    for table, key in all_keys()
    if getattr(part(Config(), tuple(table.split("."))), key) is None
]


def test_the_default_file_changes_nothing() -> None:
    assert parse_config(default_document()) == Config()


def test_the_default_file_shows_every_key_once_in_its_table() -> None:
    table, shown = "", []
    for line in default_document().splitlines():
        if header := re.fullmatch(r"\[([\w.]+)\]", line):
            table = header[1]
        if key := re.match(r"# (\w+) = ", line):
            shown.append((table, key[1]))
    assert shown == all_keys()
    assert len(shown) == len(set(shown))


def test_what_the_default_file_shows_are_the_defaults() -> None:
    """Without the comment marks it is the same configuration, but for what has no default."""
    shown = re.sub(r"(?m)^# (\w+ = )", r"\1", default_document())
    config = parse_config(shown)
    for table, key in WITHOUT_DEFAULT:
        section = getattr(config, table)
        assert getattr(section, key) is not None
        config = attrs.evolve(config, **{table: attrs.evolve(section, **{key: None})})
    assert config == Config()


def test_the_default_file_names_the_schema_ranges_and_choices() -> None:
    lines = default_document().splitlines()
    assert lines[0] == "#:schema ./snowowl.schema.json"
    assert max(map(len, lines)) <= WIDTH
    for key, limits in (
        ("blksize_max = 65464", "# From 8 to 65464."),
        ("mtu = 0", "# 0, or from 68 to 65535."),
        ('tid = "shared"', '# One of "shared", "own", "listen".'),
        (
            "refuse_options = []",
            '# Each: one of "blksize", "timeout", "tsize", "windowsize", "rollover".',
        ),
        ("port_range = [49152, 50175]", "# Default: not set. For example:"),
        ("workers = 1", '# From 1 to 256, or "auto".'),
        ("max_batch_size = 32", "# From 1 to 1024."),
    ):
        assert lines[lines.index(f"# {key}") - 1] == limits


NUMBERS = st.one_of(st.integers(1, 65535), st.sampled_from([1, 65535]))
ADDRESSES = st.one_of(
    st.builds("{}:{}".format, st.sampled_from(["*", "", "10.0.0.1", "[fe80::1%eth0]"]), NUMBERS),
    st.builds("10.{}.0.1".format, st.integers(0, 255)),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
SCALARS: dict[object, st.SearchStrategy[object]] = {
    bool: st.booleans(),
    Address: ADDRESSES,
    Pattern: TEXT,
    UserName: TEXT,
    NetworkText: st.ip_addresses().map(str),
    MetricsAddress: st.sampled_from(["127.0.0.1:9169", "[::1]:0", "unix:/run/snowowl.sock"]),
    Annotated[str, Check(check_mode)]: st.sampled_from(["0640", "600", "0o666"]),
    Annotated[str, Check(check_unique_name)]: st.sampled_from(
        ["{name}.{number}", "{date}-{number}"]
    ),
    Path: TEXT.map(Path),
}


def values(annotation: object) -> st.SearchStrategy[object]:
    """Draw what a key may be from its annotation, so that a new key is drawn too."""
    arguments = get_args(annotation)
    if annotation in SCALARS:
        return SCALARS[annotation]
    if get_origin(annotation) is Literal:
        return st.sampled_from(arguments)
    if get_origin(annotation) is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3, unique=True).map(tuple)
    if get_origin(annotation) is tuple:
        return st.tuples(*map(values, arguments))
    if get_origin(annotation) is Annotated:
        inner, mark = arguments
        if not isinstance(mark, Range):
            return values(inner).filter(bool)
        if inner is int:
            inside = st.integers(int(mark.minimum), int(mark.maximum))
            return st.just(0) | inside if mark.zero else inside
        return st.floats(mark.minimum, mark.maximum)
    if isinstance(annotation, type) and attrs.has(annotation):
        return sections(annotation)
    return st.one_of([st.none() if kind is NoneType else values(kind) for kind in arguments])


def sections(section: type[attrs.AttrsInstance]) -> st.SearchStrategy[attrs.AttrsInstance]:
    hints = get_type_hints(section, include_extras=True)
    return st.builds(section, **{name: values(hint) for name, hint in hints.items()})


def consistent(config: attrs.AttrsInstance) -> Config:
    """Put what has an order in order, and leave out what may not be there twice."""
    assert isinstance(config, Config)
    server, protocol = config.server, config.protocol
    ports = server.port_range and (min(server.port_range), max(server.port_range))
    listen = tuple({parse_listen(text): text for text in server.listen}.values())
    shortest, initial, longest = sorted(
        (
            protocol.timeout_min_seconds,
            protocol.timeout_initial_seconds,
            protocol.timeout_max_seconds,
        )
    )
    protocol = attrs.evolve(
        protocol,
        timeout_min_seconds=shortest,
        timeout_initial_seconds=initial,
        timeout_max_seconds=longest,
    )
    workers = 1 if server.tid == "listen" else server.workers
    server = attrs.evolve(server, port_range=ports, listen=listen, workers=workers)
    return attrs.evolve(config, server=server, protocol=protocol)


CONFIGS = sections(Config).map(consistent)


@given(CONFIGS)
def test_what_is_dumped_reads_back_equal(config: Config) -> None:
    text = dump_config(config)
    assert parse_config(text) == config
    tomllib.loads(text)  # a second opinion on whether it is TOML


@given(CONFIGS)
def test_every_valid_configuration_passes_its_own_checks(config: Config) -> None:
    assert override(config, ()) == config
    assert isinstance(config.warnings(), tuple)


def test_what_is_dumped_has_every_key_that_is_set() -> None:
    text = dump_config(Config())
    parsed = tomllib.loads(text)
    for table, key in all_keys():
        at = parsed
        for name in table.split("."):
            at = at.get(name, {})  # a table without a set key is not written
        assert (key in at) is ((table, key) not in WITHOUT_DEFAULT), (table, key)
    assert text.startswith('[server]\nroot = "."\nlisten = ["*:69"]\n')


def test_a_table_of_tables_only_is_dumped_without_a_header() -> None:
    headers = re.findall(r"(?m)^\[.*\]$", dump_config(Config()))
    assert headers[-6:] == [
        "[performance.platform]",
        "[performance.platform.batch]",
        "[performance.platform.zero_copy]",
        "[performance.platform.offload]",
        "[performance.sockets]",
        "[performance.files]",
    ]
    assert "[performance]" not in headers


@pytest.mark.parametrize("root", ["a b", 'quo"te', "back\\slash", "größe", "new\nline", "\x7f"])
def test_a_root_with_odd_characters_survives_a_file(root: str, tmp_path: Path) -> None:
    config = Config(server=ServerConfig(root=tmp_path / root))
    file = tmp_path / "a.toml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert load_config(file) == config


def test_tiny_and_large_numbers_survive() -> None:
    config = Config(
        server=ServerConfig(drain_seconds=5e-324),
        protocol=ProtocolConfig(retries=0),
        write=WriteConfig(size_max=(1 << 63) - 1),
    )
    assert parse_config(dump_config(config)) == config
