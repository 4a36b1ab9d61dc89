"""From the keys to the sockets' settings, and what is said of keys that come to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import pytest

from snowowl.config import Config
from snowowl.config.keys import own_keys, tables
from snowowl.config.performance import PerformanceConfig
from snowowl.datagram.capabilities import Capabilities, Missing
from snowowl.datagram.settings import Settings
from snowowl.server.datapath import _KEYS, settings_of, system_network, without
from tests.real.inside import configure

SETTINGS: Final = [
    ("platform__rung", "mmsg", "rung", "mmsg"),
    ("platform__batch__enable_recvmmsg", False, "recvmmsg", False),
    ("platform__batch__enable_sendmmsg", False, "sendmmsg", False),
    ("platform__batch__max_batch_size", 7, "batch_max", 7),
    ("platform__offload__enable_gso", False, "gso", False),
    ("platform__offload__enable_gro", False, "gro", False),
    ("platform__zero_copy__use_sendfile", True, "sendfile", True),
    ("platform__zero_copy__sendfile_threshold_bytes", 7, "sendfile_file_min", 7),
    ("platform__zero_copy__sendfile_blksize_min", 9, "sendfile_block_min", 9),
    ("platform__zero_copy__use_msg_zerocopy", True, "zerocopy", True),
    ("platform__zero_copy__msg_zerocopy_threshold_bytes", 7, "zerocopy_min", 7),
    ("sockets__recv_buffer_kb", 8, "receive_buffer", 8192),
    ("sockets__recv_buffer_kb", 0, "receive_buffer", 0),
    ("sockets__send_buffer_kb", 8, "send_buffer", 8192),
]
"""Keys, and what they say of which setting."""

PORTABLE: Final = Capabilities(rung="portable")


def test_the_defaults_agree() -> None:
    """Whoever uses the datagram ring without a configuration gets what the server has."""
    assert settings_of(Config()) == Settings()


@pytest.mark.parametrize(("key", "value", "setting", "expected"), SETTINGS)
def test_a_key_changes_its_setting_and_no_other(
    tmp_path: Path, key: str, value: object, setting: str, expected: object
) -> None:
    found = attrs.asdict(settings_of(configure(tmp_path, **{key: value})))
    assert found == {**attrs.asdict(Settings()), setting: expected}


def test_every_setting_has_a_key() -> None:
    assert {setting for _, _, setting, _ in SETTINGS} == {
        field.name for field in attrs.fields(Settings)
    }


def test_the_network_of_a_server_is_as_configured(tmp_path: Path) -> None:
    """And all its sockets receive into one place, which their pumps allow."""
    config = configure(tmp_path, platform__rung="portable", sockets__recv_buffer_kb=8)
    network = system_network(config)
    assert network.settings == settings_of(config)
    assert network.capabilities.rung == "portable"
    assert network._shares_slots


def test_features_are_named_by_their_keys() -> None:
    """Each is a setting, and a key that there is."""
    keys = {
        ".".join(("performance", *path, key.name))
        for path, table in tables(PerformanceConfig).items()
        for key in own_keys(table)
    }
    assert set(_KEYS.values()) <= keys
    assert set(_KEYS) <= {field.name for field in attrs.fields(Settings)}
    missing = tuple(Missing(feature, f"there is no {feature}") for feature in _KEYS)
    found = list(without(Config(), Capabilities(rung="gso", missing=missing)))
    assert found == [
        f"{key} has no effect: there is no {feature}" for feature, key in _KEYS.items()
    ]


def test_what_the_configuration_says_itself_is_not_said_again(tmp_path: Path) -> None:
    config = configure(
        tmp_path,
        platform__batch__enable_sendmmsg=False,
        platform__zero_copy__use_msg_zerocopy=True,
    )
    needs_sendmmsg = Missing("zerocopy", "it needs sendmmsg")
    assert len(config.warnings()) == 1
    assert not list(without(config, Capabilities(rung="gso", missing=(needs_sendmmsg,))))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"platform__rung": "portable"},
        {"platform__rung": "portable", "platform__batch__max_batch_size": 8},
        {"sockets__recv_buffer_kb": 8, "files__read_ahead_kb": 0, "platform__poll_us": 10},
    ],
)
def test_what_was_not_asked_for_is_not_missed(tmp_path: Path, keys: dict[str, object]) -> None:
    assert not list(without(configure(tmp_path, **keys), PORTABLE))


def test_what_needs_more_than_the_portable_rung_is_missed(tmp_path: Path) -> None:
    config = configure(
        tmp_path, platform__batch__enable_recvmmsg=False, platform__offload__enable_gso=False
    )
    assert list(without(config, PORTABLE)) == [
        f"performance.platform.{key} has no effect: nothing but the rung portable works here"
        for key in ("batch.enable_recvmmsg", "offload.enable_gso")
    ]
