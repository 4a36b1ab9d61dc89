"""The defaults that were promised, and a warning for each key that does nothing."""

from __future__ import annotations

import tomllib

import pytest

from snowowl.config import Config
from snowowl.config.load import parse_config
from snowowl.config.overlay import override
from snowowl.config.performance import (
    BatchConfig,
    OffloadConfig,
    PerformanceConfig,
    PlatformConfig,
    ZeroCopyConfig,
)

DEFAULTS = """
[performance.platform]
rung = "auto"
poll_us = 50
[performance.platform.batch]
enable_sendmmsg = true
enable_recvmmsg = true
max_batch_size = 32
batch_timeout_us = 100
[performance.platform.zero_copy]
use_sendfile = false
sendfile_threshold_bytes = 65536
sendfile_blksize_min = 16384
use_msg_zerocopy = false
msg_zerocopy_threshold_bytes = 8192
[performance.platform.offload]
enable_gso = true
enable_gro = true
[performance.sockets]
recv_buffer_kb = 4096
send_buffer_kb = 0
[performance.files]
read_ahead_kb = 4096
access_hint = "sequential"
"""

BATCHES_OFF = (
    "performance.platform.batch.enable_sendmmsg and performance.platform.batch.enable_recvmmsg"
    " are both false"
)
OFFLOAD_OFF = (
    "performance.platform.offload.enable_gso and performance.platform.offload.enable_gro"
    " are both false"
)


def test_the_names_and_defaults_are_as_promised() -> None:
    assert override(Config(), ()).performance == PerformanceConfig()
    written = tomllib.loads(DEFAULTS)["performance"]
    default = Config().performance
    for table, keys in (
        (default.platform, written["platform"]),
        (default.platform.batch, written["platform"]["batch"]),
        (default.platform.zero_copy, written["platform"]["zero_copy"]),
        (default.platform.offload, written["platform"]["offload"]),
        (default.sockets, written["sockets"]),
        (default.files, written["files"]),
    ):
        for key, value in keys.items():
            if not isinstance(value, dict):
                assert getattr(table, key) == value, key
    assert parse_config(DEFAULTS) == Config()


@pytest.mark.parametrize("rung", ["auto", "gso", "mmsg", "portable"])
def test_no_key_is_blamed_for_its_default(rung: str) -> None:
    assert parse_config(f'performance.platform.rung = "{rung}"').warnings() == ()
    assert (
        parse_config(f'{DEFAULTS}\n[protocol]\nblksize_max = 1428\nrollover = "1"').warnings() == ()
    )


@pytest.mark.parametrize(
    ("text", "idle", "because"),
    [
        (
            'rung = "portable"\n[T.batch]\nmax_batch_size = 8\nbatch_timeout_us = 0',
            ["batch.max_batch_size", "batch.batch_timeout_us"],
            'performance.platform.rung is "portable"',
        ),
        (
            'rung = "portable"\n[T.batch]\nenable_sendmmsg = false\nenable_recvmmsg = false',
            ["batch.enable_sendmmsg", "batch.enable_recvmmsg"],
            'performance.platform.rung is "portable"',
        ),
        (
            'rung = "portable"\n[T.offload]\nenable_gso = false\nenable_gro = false',
            ["offload.enable_gso", "offload.enable_gro"],
            'performance.platform.rung is "portable"',
        ),
        (
            'rung = "mmsg"\n[T.offload]\nenable_gso = false',
            ["offload.enable_gso"],
            'performance.platform.rung is "mmsg"',
        ),
        (
            'rung = "portable"\n[T.zero_copy]\nuse_msg_zerocopy = true\nmsg_zerocopy_threshold_bytes = 1',
            ["zero_copy.use_msg_zerocopy", "zero_copy.msg_zerocopy_threshold_bytes"],
            'performance.platform.rung is "portable"',
        ),
        (
            "[T.batch]\nenable_sendmmsg = false\nenable_recvmmsg = false\nmax_batch_size = 8",
            ["batch.max_batch_size"],
            BATCHES_OFF,
        ),
        (
            'rung = "mmsg"\n[T.batch]\nenable_sendmmsg = false\nenable_recvmmsg = false',
            ["rung"],
            BATCHES_OFF,
        ),
        (
            "[T.batch]\nmax_batch_size = 7\nbatch_timeout_us = 50",
            ["batch.batch_timeout_us"],
            "performance.platform.batch.max_batch_size is less than 8",
        ),
        (
            "[T.batch]\nenable_recvmmsg = false\nbatch_timeout_us = 0",
            ["batch.batch_timeout_us"],
            "performance.platform.batch.enable_recvmmsg is false",
        ),
        (
            'rung = "portable"\n[T.zero_copy]\nuse_sendfile = true',
            ["zero_copy.use_sendfile"],
            'performance.platform.rung is "portable"',
        ),
        (
            (
                'rung = "portable"\n[T.zero_copy]\nsendfile_threshold_bytes = 100000'
                "\nsendfile_blksize_min = 8192"
            ),
            ["zero_copy.sendfile_threshold_bytes", "zero_copy.sendfile_blksize_min"],
            'performance.platform.rung is "portable"',
        ),
        (
            "[T.zero_copy]\nuse_sendfile = true\nsendfile_threshold_bytes = 4096",
            ["zero_copy.sendfile_threshold_bytes"],
            "files of up to 65536 octets are kept in memory",
        ),
        (
            (
                "[T.batch]\nenable_sendmmsg = false\n[T.zero_copy]\nuse_msg_zerocopy = true"
                "\nmsg_zerocopy_threshold_bytes = 4096"
            ),
            ["zero_copy.use_msg_zerocopy", "zero_copy.msg_zerocopy_threshold_bytes"],
            "performance.platform.batch.enable_sendmmsg is false",
        ),
        (
            'rung = "gso"\n[T.offload]\nenable_gso = false\nenable_gro = false',
            ["rung"],
            OFFLOAD_OFF,
        ),
        (
            "[T.zero_copy]\nuse_sendfile = false\nsendfile_threshold_bytes = 1\nsendfile_blksize_min = 512",
            ["zero_copy.sendfile_threshold_bytes", "zero_copy.sendfile_blksize_min"],
            "performance.platform.zero_copy.use_sendfile is false",
        ),
        (
            "[T.zero_copy]\nuse_sendfile = true\nsendfile_threshold_bytes = 1\n[protocol]\nblksize_max = 1428",
            ["zero_copy.sendfile_threshold_bytes"],
            "no block is larger than 1428 octets",
        ),
        (
            '[T.zero_copy]\nuse_sendfile = true\nsendfile_blksize_min = 8192\n[protocol]\nrefuse_options = ["blksize"]',
            ["zero_copy.sendfile_blksize_min"],
            "no block is larger than 512 octets",
        ),
        (
            "[T.zero_copy]\nmsg_zerocopy_threshold_bytes = 1",
            ["zero_copy.msg_zerocopy_threshold_bytes"],
            "performance.platform.zero_copy.use_msg_zerocopy is false",
        ),
    ],
)
def test_what_has_no_effect_is_named_with_the_reason(
    text: str, idle: list[str], because: str
) -> None:
    config = parse_config(f"[T]\n{text}".replace("T", "performance.platform"))
    assert list(config.warnings()) == [
        f"performance.platform.{key}: has no effect while {because}" for key in idle
    ]


def test_one_reason_is_enough() -> None:
    platform = PlatformConfig(
        rung="portable",
        batch=BatchConfig(enable_sendmmsg=False, enable_recvmmsg=False, max_batch_size=8),
    )
    warnings = Config(performance=PerformanceConfig(platform=platform)).warnings()
    assert len(warnings) == 3
    assert all(
        warning.endswith('while performance.platform.rung is "portable"') for warning in warnings
    )


@pytest.mark.parametrize(
    "platform",
    [
        PlatformConfig(batch=BatchConfig(enable_sendmmsg=False, max_batch_size=8)),
        PlatformConfig(batch=BatchConfig(enable_recvmmsg=False, max_batch_size=8)),
        PlatformConfig(batch=BatchConfig(max_batch_size=8, batch_timeout_us=50)),
        PlatformConfig(
            zero_copy=ZeroCopyConfig(use_sendfile=True, sendfile_threshold_bytes=65_537)
        ),
        PlatformConfig(rung="mmsg", batch=BatchConfig(enable_recvmmsg=False)),
        PlatformConfig(rung="gso", offload=OffloadConfig(enable_gso=False)),
        PlatformConfig(zero_copy=ZeroCopyConfig(use_sendfile=True, sendfile_blksize_min=8192)),
        PlatformConfig(
            rung="mmsg",
            zero_copy=ZeroCopyConfig(use_msg_zerocopy=True, msg_zerocopy_threshold_bytes=1),
        ),
        PlatformConfig(poll_us=0),
    ],
)
def test_what_still_has_an_effect_is_not_named(platform: PlatformConfig) -> None:
    assert Config(performance=PerformanceConfig(platform=platform)).warnings() == ()


def test_blocks_of_just_the_smallest_size_for_sendfile_are_enough() -> None:
    text = (
        "[performance.platform.zero_copy]\nuse_sendfile = true\nsendfile_blksize_min = 8192"
        "\n[protocol]\nblksize_max = "
    )
    assert parse_config(f"{text} 8192").warnings() == ()
    assert len(parse_config(f"{text} 8191").warnings()) == 1
