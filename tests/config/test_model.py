"""What the model promises without any loader: defaults, warnings, conflicts."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from snowowl.config import Config, ProtocolConfig, ServerConfig, WriteConfig
from snowowl.config.keys import tables
from snowowl.config.limits import AccessConfig, LimitsConfig
from snowowl.config.listen import ListenAddress
from snowowl.config.model import Workers


def test_the_defaults_serve_the_current_folder_read_only() -> None:
    config = Config()
    assert config.server.root == Path()
    assert not config.write.enabled
    assert config.server.addresses() == (ListenAddress("", 69),)
    assert config.warnings() == ()
    assert list(config.conflicts()) == []


@pytest.mark.parametrize("section", tables(Config).values())
def test_every_key_is_documented(section: type[attrs.AttrsInstance]) -> None:
    for field in attrs.fields(section):
        assert str(field.metadata["doc"]).endswith("."), field.name


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Config().server.tid = "own"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("config", "warnings"),
    [
        (
            Config(server=ServerConfig(tid="listen", port_range=(1, 2))),
            [
                'server.port_range: has no effect while server.tid is "listen": answers come from the listening port'
            ],
        ),
        (Config(server=ServerConfig(tid="own", port_range=(1, 2))), []),
        (
            Config(write=WriteConfig(overwrite=True, patterns=("a",))),
            [
                "write.overwrite: has no effect while write.enabled is false",
                "write.patterns: has no effect while write.enabled is false",
            ],
        ),
        (Config(write=WriteConfig(enabled=True, overwrite=True, patterns=("a",))), []),
        (
            Config(write=WriteConfig(enabled=True, create=False)),
            [
                "write.create: nothing can be written while write.create and write.overwrite are both false"
            ],
        ),
        (Config(write=WriteConfig(enabled=True, create=False, overwrite=True)), []),
        (
            Config(write=WriteConfig(enabled=True, patterns=())),
            ["write.patterns: nothing can be written while there are no patterns"],
        ),
        (
            Config(protocol=ProtocolConfig(refuse_options=("blksize",), blksize_max=512)),
            ['protocol.blksize_max: has no effect while protocol.refuse_options has "blksize"'],
        ),
        (Config(protocol=ProtocolConfig(refuse_options=("windowsize",))), []),
        (
            Config(server=ServerConfig(user="root", group="tftp")),
            ['server.group: has no effect while server.user is "root": the server stays who it is'],
        ),
        (Config(server=ServerConfig(user="tftp", group="tftp")), []),
        (
            Config(
                protocol=ProtocolConfig(silence_max_seconds=40),
                limits=LimitsConfig(transfer_seconds_max=20),
            ),
            [
                "protocol.silence_max_seconds: has no effect, limits.transfer_seconds_max (20) ends a transfer before"
            ],
        ),
        (Config(limits=LimitsConfig(transfer_seconds_max=20)), []),
        (
            Config(limits=LimitsConfig(transfers_max=10, unanswered_max=11, uploads_max=9)),
            [
                "limits.uploads_max: has no effect while write.enabled is false",
                "limits.unanswered_max: has no effect, limits.transfers_max (10) is met before",
            ],
        ),
        (Config(limits=LimitsConfig(transfers_max=10, client_transfers_max=10)), []),
        (Config(limits=LimitsConfig(transfers_max=10)), []),
        (
            Config(access=AccessConfig(allow=("10.1.0.0/16", "fd00::/8"), deny=("10.0.0.0/8",))),
            ['access.allow: "10.1.0.0/16" has no effect, access.deny has "10.0.0.0/8"'],
        ),
        (
            Config(access=AccessConfig(allow=("10.0.0.0/8",), deny=("10.1.0.0/16", "a00::/8"))),
            [],
        ),
    ],
)
def test_warnings(config: Config, warnings: list[str]) -> None:
    assert list(config.warnings()) == warnings


@pytest.mark.parametrize(
    ("config", "keys", "message"),
    [
        (
            Config(server=ServerConfig(port_range=(9, 8))),
            ("server.port_range",),
            "the first port, 9, is above the last, 8",
        ),
        (
            Config(server=ServerConfig(listen=("*:69", "[::]:69", ":69"))),
            ("server.listen",),
            '"*:69" is listed more than once',
        ),
        (
            Config(protocol=ProtocolConfig(timeout_min_seconds=2.0)),
            ("protocol.timeout_min_seconds", "protocol.timeout_initial_seconds"),
            "timeout_min_seconds (2.0) must not be above timeout_initial_seconds (1.0)",
        ),
        (
            Config(protocol=ProtocolConfig(timeout_max_seconds=0.5)),
            ("protocol.timeout_initial_seconds", "protocol.timeout_max_seconds"),
            "timeout_initial_seconds (1.0) must not be above timeout_max_seconds (0.5)",
        ),
    ],
)
def test_conflicts(config: Config, keys: tuple[str, ...], message: str) -> None:
    (conflict,) = config.conflicts()
    assert conflict.keys == keys
    assert conflict.message == message


@pytest.mark.parametrize("workers", [2, 256, "auto"])
def test_the_listening_port_is_not_shared_by_workers(workers: Workers) -> None:
    (conflict,) = Config(server=ServerConfig(tid="listen", workers=workers)).conflicts()
    assert conflict.keys == ("server.workers", "server.tid")
    assert "broadcast" in conflict.message
    for tid in ("shared", "own"):
        assert not list(Config(server=ServerConfig(tid=tid, workers=workers)).conflicts())


def test_values_at_the_edge_do_not_conflict() -> None:
    config = Config(
        server=ServerConfig(port_range=(9, 9), listen=("*:0", "*:0"), tid="listen", workers=1),
        protocol=ProtocolConfig(
            timeout_min_seconds=1.0, timeout_initial_seconds=1.0, timeout_max_seconds=1.0
        ),
    )
    assert list(config.conflicts()) == []
