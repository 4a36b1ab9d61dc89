"""The environment sets what the table says, and never raises."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config import Config
from snowowl.config.environment import (
    VARIABLES,
    Change,
    from_environment,
    parse_integer,
    parse_port_range,
    parse_truth,
    unknown_variables,
)
from snowowl.config.overlay import override
from snowowl.config.problems import ConfigError

FULL = {
    "SNOWOWL_ROOT": "/srv/tftp",
    "SNOWOWL_LISTEN": " 10.0.0.1:69\t[::1]:69 ",
    "SNOWOWL_TID": "own",
    "SNOWOWL_PORT_RANGE": "1024:2048",
    "SNOWOWL_WORKERS": " 4 ",
    "SNOWOWL_USER": "tftp",
    "SNOWOWL_WRITABLE": "Yes",
    "SNOWOWL_OVERWRITE": "off",
    "SNOWOWL_LOG_FORMAT": "json",
    "SNOWOWL_CONFIG": "a.toml",
    "HOME": "/",
}


def test_every_variable() -> None:
    values = {change.key_path: (change.value, change.origin) for change in from_environment(FULL)}
    assert values == {
        "server.root": ("/srv/tftp", "SNOWOWL_ROOT"),
        "server.listen": (["10.0.0.1:69", "[::1]:69"], "SNOWOWL_LISTEN"),
        "server.tid": ("own", "SNOWOWL_TID"),
        "server.port_range": ((1024, 2048), "SNOWOWL_PORT_RANGE"),
        "server.workers": (4, "SNOWOWL_WORKERS"),
        "server.user": ("tftp", "SNOWOWL_USER"),
        "write.enabled": (True, "SNOWOWL_WRITABLE"),
        "write.overwrite": (False, "SNOWOWL_OVERWRITE"),
        "log.format": ("json", "SNOWOWL_LOG_FORMAT"),
    }
    assert len(values) == len(VARIABLES)
    override(Config(), from_environment(FULL))


def test_what_is_empty_is_not_set() -> None:
    assert from_environment(dict.fromkeys(FULL, "")) == ()


def test_text_that_makes_no_value_is_a_fault() -> None:
    assert from_environment({"SNOWOWL_WRITABLE": "perhaps", "SNOWOWL_PORT_RANGE": "1024"}) == (
        Change(
            "server.port_range",
            None,
            "SNOWOWL_PORT_RANGE",
            'must be FIRST:LAST, like 49152:50175, not "1024"',
        ),
        Change("write.enabled", None, "SNOWOWL_WRITABLE", 'must be true or false, not "perhaps"'),
    )


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "1:2:3", "a:b", "-1:2", "1:123456", "1:٣"])
def test_port_ranges_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be FIRST:LAST"):
        parse_port_range(text)


@given(st.sampled_from(["1", "0", "true", "f", "yes", "No", "y", "N", " on", "OFF"]) | st.text())
def test_truth_is_what_click_takes_for_it(text: str) -> None:
    try:
        expected = click.BOOL.convert(text, None, None)
    except click.BadParameter:
        with pytest.raises(ValueError, match="must be true or false"):
            parse_truth(text)
    else:
        # click counts the empty text as false for a flag; here an empty variable is not set.
        assert text.strip() == "" or parse_truth(text) is expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), (" 16\n", 16), ("auto", "auto"), (" auto ", "auto"), ("9" * 99, int("9" * 99))],
)
def test_integers_and_words(text: str, value: int | str) -> None:
    assert parse_integer(text) == value


@pytest.mark.parametrize("text", ["-1", "+1", "1_0", "1.5", "٣", "x", "9" * 5000])
def test_what_is_no_integer_is_left_to_the_model(text: str) -> None:
    assert parse_integer(text) == text
    with pytest.raises(
        ConfigError, match=r'^SNOWOWL_WORKERS: server\.workers: must be .* or "auto"'
    ):
        override(Config(), from_environment({"SNOWOWL_WORKERS": text}))


def test_a_variable_that_is_none_is_warned_of() -> None:
    environ = {"SNOWOWL_LISTN": "x", "SNOWOWL_ROOT": "/srv", "SNOWOWL_CONFIG": "f", "HOME": "/"}
    (warning,) = unknown_variables(environ)
    assert "SNOWOWL_LISTN" in warning
    assert "did you mean SNOWOWL_LISTEN?" in warning
    (warning,) = unknown_variables({"SNOWOWL_\x1b[31m": "x"})
    assert warning.isprintable()
