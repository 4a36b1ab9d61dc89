"""Nothing is coerced, and everything wrong is said at once."""

from __future__ import annotations

import math
from copy import deepcopy
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config.model import Config, Workers
from snowowl.config.performance import BatchConfig, OffloadConfig
from snowowl.config.structure import SUGGESTIONS_MAX, Fault, StructureError, structure
from snowowl.config.words import dotted

Tables = dict[str, object]


def faults(plain: Tables) -> dict[str, str]:
    with pytest.raises(StructureError) as caught:
        structure(plain)
    return {dotted(fault.path): fault.message for fault in caught.value.faults}


def test_nothing_is_the_default() -> None:
    assert structure({}) == Config()
    assert structure({"server": {}, "log": {}}) == Config()


def test_every_kind_of_value() -> None:
    config = structure(
        {
            "server": {
                "root": "/srv/tftp",
                "listen": ["10.0.0.1", "[::1]:0"],
                "tid": "own",
                "port_range": [1024, 2048],
                "drain_seconds": 3,
            },
            "protocol": {"mtu": 1500, "refuse_options": ["tsize"]},
            "write": {"enabled": True},
        }
    )
    assert config.server.root == Path("/srv/tftp")
    assert config.server.listen == ("10.0.0.1", "[::1]:0")
    assert config.server.tid == "own"
    assert config.server.port_range == (1024, 2048)
    assert config.server.drain_seconds == 3.0
    assert isinstance(config.server.drain_seconds, float)
    assert config.protocol.mtu == 1500
    assert config.protocol.refuse_options == ("tsize",)
    assert config.write.enabled is True


def test_python_values_are_taken_too() -> None:
    config = structure({"server": {"root": Path("a"), "port_range": None, "listen": ("*:1",)}})
    assert config.server.root == Path("a")
    assert config.server.port_range is None
    assert config.server.listen == ("*:1",)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("server", "root", 3, "must be a string, not 3 (write it in quotes)"),
        ("server", "root", [], "must be a string, not an array"),
        ("server", "root", "", "must not be empty"),
        ("server", "root", Path("caf\udce9"), 'is not valid UTF-8: "caf\\uDCE9"'),
        ("server", "listen", "*:69", 'must be an array, not "*:69" (write ["*:69"])'),
        ("server", "listen", {}, "must be an array, not a table"),
        ("server", "listen", [], "must have at least 1 element"),
        ("server", "port_range", [1], "must be an array of 2, not of 1"),
        ("server", "port_range", "1:2", 'must be an array of 2, not "1:2"'),
        ("server", "port_range", [2, 1], "the first port, 2, is above the last, 1"),
        ("server", "drain_seconds", True, "must be a number, not true"),
        ("server", "drain_seconds", "1s", 'must be a number, not "1s"'),
        ("server", "drain_seconds", -0.5, "must be from 0 to 3600, not -0.5"),
        ("server", "drain_seconds", math.nan, "must be from 0 to 3600, not nan"),
        ("server", "drain_seconds", 10**400, "must be from 0 to 3600, not an integer of 1329 bits"),
        ("protocol", "retries", True, "must be an integer, not true"),
        ("protocol", "retries", 1.0, "must be an integer, not 1.0"),
        ("protocol", "retries", "5", 'must be an integer, not "5" (write it without quotes)'),
        ("protocol", "retries", date(2026, 1, 1), "must be an integer, not a date or time"),
        ("protocol", "blksize_max", 65465, "must be from 8 to 65464, not 65465"),
        ("protocol", "blksize_max", 7, "must be from 8 to 65464, not 7"),
        ("protocol", "mtu", 67, "must be from 68 to 65535, or 0, not 67"),
        (
            "protocol",
            "rollover",
            0,
            'must be one of "0", "1", "none", not 0 (write it in quotes: "0")',
        ),
        ("protocol", "rollover", True, 'must be one of "0", "1", "none", not true'),
        (
            "server",
            "tid",
            "Shred",
            'must be one of "shared", "own", "listen", not "Shred" (did you mean "shared"?)',
        ),
        ("server", "tid", "x", 'must be one of "shared", "own", "listen", not "x"'),
        ("server", "workers", 0, 'must be an integer from 1 to 256 or "auto", not 0'),
        ("server", "workers", 257, 'must be an integer from 1 to 256 or "auto", not 257'),
        ("server", "workers", 1.0, 'must be an integer from 1 to 256 or "auto", not 1.0'),
        ("server", "workers", True, 'must be an integer from 1 to 256 or "auto", not true'),
        ("server", "workers", None, 'must be an integer from 1 to 256 or "auto", not nothing'),
        (
            "server",
            "workers",
            "4",
            'must be an integer from 1 to 256 or "auto", not "4" (write it without quotes)',
        ),
        (
            "server",
            "workers",
            "Auto",
            'must be an integer from 1 to 256 or "auto", not "Auto" (did you mean "auto"?)',
        ),
        ("write", "enabled", 1, "must be true or false, not 1"),
        (
            "write",
            "enabled",
            "Yes",
            'must be true or false, not "Yes" (write true, without quotes)',
        ),
        ("write", "enabled", "perhaps", 'must be true or false, not "perhaps"'),
    ],
)
def test_values_that_are_refused(section: str, key: str, value: object, message: str) -> None:
    assert faults({section: {key: value}}) == {f"{section}.{key}": message}


@pytest.mark.parametrize("workers", [1, 256, "auto"])
def test_a_number_or_a_word(workers: Workers) -> None:
    assert structure({"server": {"workers": workers}}).server.workers == workers


def platform(tables: Tables) -> Tables:
    return {"performance": {"platform": tables}}


def test_tables_in_tables() -> None:
    config = structure(platform({"rung": "mmsg", "batch": {"max_batch_size": 8}, "offload": {}}))
    assert config.performance.platform.rung == "mmsg"
    assert config.performance.platform.batch == BatchConfig(max_batch_size=8)
    assert config.performance.platform.offload == OffloadConfig()


def test_every_fault_in_tables_in_tables_is_found_and_hides_no_conflict() -> None:
    plain = platform(
        {
            "rung": "gos",
            "batch": {"max_batch_size": 0, "bogus": {"a": {}}, "enable_sendmmsg": True},
            "zero_copy": 3,
            "offload": {"enable_gso": {}},
        }
    )
    copy = deepcopy(plain)
    plain["protocol"] = {"timeout_min_seconds": 3.0}
    assert faults(plain) == {
        "performance.platform.rung": 'must be one of "auto", "gso", "mmsg", "portable", not "gos" (did you mean "gso"?)',
        "performance.platform.batch.max_batch_size": "must be from 1 to 1024, not 0",
        "performance.platform.batch.bogus": "unknown key",
        "performance.platform.zero_copy": "must be a table, not 3",
        "performance.platform.offload.enable_gso": "must be true or false, not a table",
        "protocol.timeout_min_seconds": "timeout_min_seconds (3.0) must not be above timeout_initial_seconds (1.0)",
    }
    assert plain == {**copy, "protocol": {"timeout_min_seconds": 3.0}}  # nothing was changed


def test_a_conflict_with_a_table_that_is_none_is_not_reported_as_well() -> None:
    assert set(faults({"protocol": 3, "server": {"workers": 2, "tid": "listen"}})) == {
        "protocol",
        "server.workers",
    }


def test_elements_of_arrays_are_named() -> None:
    found = faults(
        {
            "server": {"listen": ["*:69", "nonsense", 3], "port_range": [0, 65536]},
            "write": {"patterns": [""]},
        }
    )
    assert list(found) == [
        "server.listen[1]",
        "server.listen[2]",
        "server.port_range[0]",
        "server.port_range[1]",
        "write.patterns[0]",
    ]


@pytest.mark.parametrize(
    ("plain", "path", "hint"),
    [
        ({"server": {"lissten": 1}}, "server.lissten", "did you mean listen?"),
        ({"server": {"Port-Range": 1}}, "server.Port-Range", "did you mean port_range?"),
        ({"server": {"blksize_max": 1}}, "server.blksize_max", "belongs in [protocol]"),
        ({"listen": 1}, "listen", "belongs in [server] or [metrics]"),
        ({"server": {"write": {}}}, "server.write", "belongs at the top: [write]"),
        ({"sever": {}}, "sever", "did you mean server?"),
        ({"batch": {}}, "batch", "its place is [performance.platform.batch]"),
        (
            {"performance": {"batch": {}}},
            "performance.batch",
            "its place is [performance.platform.batch]",
        ),
        (
            platform({"enable_gso": True}),
            "performance.platform.enable_gso",
            "belongs in [performance.platform.offload]",
        ),
        (
            platform({"batch": {"enable_sendmsg": True}}),
            "performance.platform.batch.enable_sendmsg",
            "did you mean enable_sendmmsg?",
        ),
        (
            {"performance": {"platfrom": {}}},
            "performance.platfrom",
            "did you mean platform?",
        ),
        (
            {"max_batchsize": 1},
            "max_batchsize",
            "did you mean performance.platform.batch.max_batch_size?",
        ),
        ({"log": {"blksise": 1}}, "log.blksise", "did you mean protocol.blksize_max?"),
    ],
)
def test_unknown_keys_get_a_hint(plain: Tables, path: str, hint: str) -> None:
    assert faults(plain) == {path: f"unknown key ({hint})"}


def test_an_unknown_key_that_resembles_nothing_gets_no_hint() -> None:
    assert faults({"log": {"zzzzzz": 1}}) == {"log.zzzzzz": "unknown key"}


def test_only_so_many_unknown_keys_get_a_hint() -> None:
    found = faults({"server": {f"listen{number:04}": 1 for number in range(200)}})
    assert len(found) == 200
    assert sum("did you mean" in message for message in found.values()) == SUGGESTIONS_MAX


@pytest.mark.parametrize("value", [3, "x", [], [{}], True])
def test_a_table_must_be_a_table(value: object) -> None:
    assert faults({"server": value})["server"].startswith("must be a table, not ")


def test_everything_is_reported_at_once_and_no_slip_hides_a_conflict() -> None:
    found = faults(
        {
            "server": {"tid": "x", "bogus": 1, "port_range": [2, 1]},
            "protocol": {"timeout_min_seconds": 3.0, "retries": -1},
            "write": 3,
            "extra": {},
        }
    )
    assert set(found) == {
        "server.tid",
        "server.bogus",
        "server.port_range",
        "protocol.timeout_min_seconds",
        "protocol.retries",
        "write",
        "extra",
    }


def test_a_faulty_key_is_not_blamed_for_a_conflict_as_well() -> None:
    found = faults({"protocol": {"timeout_min_seconds": 3.0, "timeout_initial_seconds": "4"}})
    assert set(found) == {"protocol.timeout_initial_seconds"}


def test_a_conflict_names_the_other_key() -> None:
    with pytest.raises(StructureError) as caught:
        structure({"protocol": {"timeout_max_seconds": 0.5}})
    (fault,) = caught.value.faults
    assert fault == Fault(
        ("protocol", "timeout_initial_seconds"),
        "timeout_initial_seconds (1.0) must not be above timeout_max_seconds (0.5)",
        (("protocol", "timeout_max_seconds"),),
    )


KEYS = st.sampled_from(
    [
        *("server", "protocol", "write", "listen", "port_range", "root", "mtu", "x", "workers"),
        *("performance", "platform", "batch", "max_batch_size", "rung"),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS | st.text(), TREES, max_size=4))
def test_any_values_make_a_configuration_or_faults(plain: Tables) -> None:
    try:
        config = structure(plain)
    except StructureError as error:
        assert error.faults  # noqa: PT017 - either way is fine, but not without a reason
    else:
        assert isinstance(config, Config)
