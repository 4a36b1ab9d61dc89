"""Flags and variables over a configuration: the same checks, named by where they came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.config import Config, LogConfig, ProtocolConfig, ServerConfig, WriteConfig
from snowowl.config.environment import Change
from snowowl.config.overlay import override
from snowowl.config.performance import BatchConfig, SocketsConfig
from snowowl.config.problems import ConfigError

BASE = Config(
    server=ServerConfig(root=Path("/srv"), port_range=(1, 2)), log=LogConfig(level="debug")
)


def problems(config: Config, *changes: Change) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        override(config, changes)
    return str(caught.value).split("\n")


def test_no_changes_change_nothing() -> None:
    assert override(BASE, ()) == BASE


def test_changes_are_applied_and_the_rest_stays() -> None:
    made = override(
        BASE,
        [
            Change("server.listen", ["0.0.0.0:6969"], "--listen"),
            Change("server.root", Path("boot"), "ROOT"),
            Change("server.port_range", None, "--port-range"),
            Change("write.enabled", True, "--writable"),
        ],
    )
    assert made.server == ServerConfig(root=Path("boot"), listen=("0.0.0.0:6969",))
    assert made.write == WriteConfig(enabled=True)
    assert made.log == BASE.log


def test_keys_of_tables_in_tables() -> None:
    made = override(
        BASE,
        [
            Change("performance.platform.batch.max_batch_size", 8, "--batch"),
            Change("performance.sockets", {"recv_buffer_kb": 64}, "--sockets"),
        ],
    )
    assert made.performance.platform.batch == BatchConfig(max_batch_size=8)
    assert made.performance.sockets == SocketsConfig(recv_buffer_kb=64)
    assert override(made, ()) == made
    assert problems(
        made,
        Change("performance.platform.batch.max_batch_size", 0, "--batch"),
        Change("performance.platform.rung", 1, "--rung"),
        Change("performance.platform.batch.max_batch_siz", 1, "--x"),
        Change("performance.platform.rung.x.y", 1, "--y"),
    ) == [
        "--y: performance.platform.rung.x.y: unknown key",
        '--rung: performance.platform.rung: must be one of "auto", "gso", "mmsg", "portable", not 1',
        "--batch: performance.platform.batch.max_batch_size: must be from 1 to 1024, not 0",
        "--x: performance.platform.batch.max_batch_siz: unknown key (did you mean max_batch_size?)",
    ]


def test_problems_are_named_by_their_origin() -> None:
    assert problems(
        BASE,
        Change("server.tid", "owm", "SNOWOWL_TID"),
        Change("server.listen", ["*:69", "*:x"], "--listen"),
        Change("server.port_range", None, "SNOWOWL_PORT_RANGE", "must be FIRST:LAST"),
    ) == [
        "SNOWOWL_PORT_RANGE: server.port_range: must be FIRST:LAST",
        '--listen: server.listen[1]: "*:x": the port must be from 0 to 65535, not "x"',
        'SNOWOWL_TID: server.tid: must be one of "shared", "own", "listen", not "owm" (did you mean "own"?)',
    ]


def test_a_fault_alone_is_a_problem() -> None:
    assert problems(BASE, Change("write.enabled", None, "X", "is odd")) == [
        "X: write.enabled: is odd"
    ]


def test_of_several_changes_to_a_key_the_last_counts() -> None:
    made = override(
        BASE,
        [
            Change("server.tid", None, "SNOWOWL_TID", "is odd"),
            Change("server.tid", "own", "--tid"),
        ],
    )
    assert made.server.tid == "own"


def test_a_conflict_is_laid_to_the_change() -> None:
    assert problems(BASE, Change("protocol.timeout_max_seconds", 0.5, "--timeout-max")) == [
        "--timeout-max: protocol.timeout_max_seconds: timeout_initial_seconds (1.0) must not be above timeout_max_seconds (0.5)"
    ]


@pytest.mark.parametrize(
    ("key_path", "hint"),
    [
        ("server.lissten", " (did you mean listen?)"),
        ("lissten", " (did you mean server.listen?)"),
        ("server.listen.x", ""),
        ("x.y.z", ""),
        ("", ""),
    ],
)
def test_keys_that_do_not_exist(key_path: str, hint: str) -> None:
    (problem,) = problems(BASE, Change(key_path, 1, "--x"))
    assert problem.startswith("--x: ")
    assert problem.endswith(f"unknown key{hint}")


def test_a_configuration_made_by_hand_is_checked() -> None:
    odd = Config(protocol=ProtocolConfig(blksize_max=7))
    assert problems(odd) == ["<config>: protocol.blksize_max: must be from 8 to 65464, not 7"]
