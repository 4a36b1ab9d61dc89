"""The options of `snowowl bench`: sizes, groups."""

from __future__ import annotations

import click
import pytest

from snowowl.cli.bench import bench
from snowowl.cli.bench_options import GROUPS, octets


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("64k", 65536),
        ("64K", 65536),
        ("8M", 8 << 20),
        ("8MiB", 8 << 20),
        ("1g", 1 << 30),
        ("12b", 12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert octets(text) == size


@pytest.mark.parametrize("text", ["", "k", "1kk", "1.5M", "-1", "1T", "²", "1 k", "0x10", "ib"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        octets(text)


def test_every_option_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    context = click.Context(bench, help_option_names=["-h", "--help"])
    options = [param for param in bench.get_params(context) if isinstance(param, click.Option)]
    assert sorted(grouped) == sorted(str(each.name) for each in options if "-h" not in each.opts)


def test_help_has_the_groups_in_order() -> None:
    context = click.Context(bench, info_name="bench", help_option_names=["-h", "--help"])
    text = bench.get_help(context)
    found = [text.index(f"\n{title}:") for title in GROUPS]
    assert found == sorted(found)
    assert max(map(len, text.splitlines())) <= 90
    assert text.count("-h, --help") == 1
