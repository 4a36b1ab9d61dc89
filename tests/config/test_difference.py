"""What differs between two configurations, and one that keeps some of the old values."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from snowowl.config import (
    AccessConfig,
    Config,
    FilesConfig,
    LimitsConfig,
    PerformanceConfig,
    PlatformConfig,
    ProtocolConfig,
    ServerConfig,
    WriteConfig,
)
from snowowl.config.difference import VALUE_MAX, difference, differing, keeping
from snowowl.config.performance import BatchConfig

OLD = Config()
NEW = Config(
    server=ServerConfig(root=Path('/srv/"x"\n'), port_range=(1, 2), workers="auto"),
    protocol=ProtocolConfig(refuse_options=("tsize",), timeout_min_seconds=0.5),
    write=WriteConfig(enabled=True),
    limits=LimitsConfig(transfers_max=7),
    performance=PerformanceConfig(platform=PlatformConfig(batch=BatchConfig(max_batch_size=1))),
)


def test_values_are_written_as_in_a_file_and_in_the_order_of_the_model() -> None:
    assert difference(NEW, OLD) == (
        'server.root: "/srv/\\"x\\"\\n", was "."',
        "server.port_range: [1, 2], was not set",
        'server.workers: "auto", was 1',
        'protocol.refuse_options: ["tsize"], was []',
        "protocol.timeout_min_seconds: 0.5, was 0.2",
        "write.enabled: true, was false",
        "limits.transfers_max: 7, was 10000",
        "performance.platform.batch.max_batch_size: 1, was 32",
    )


def test_a_configuration_does_not_differ_from_itself() -> None:
    assert difference(NEW, NEW) == ()
    assert difference(Config(), Config()) == ()


def test_a_long_value_is_cut() -> None:
    allow = tuple(f"10.{number}.0.0/16" for number in range(256))
    (line,) = difference(Config(access=AccessConfig(allow=allow)), OLD)
    assert line.startswith('access.allow: ["10.0.0.0/16", "10.1.0.0/16"')
    assert line.endswith("..., was []")
    assert len(line) < VALUE_MAX + 40


def test_keys_are_kept_however_deep_they_lie() -> None:
    keys = ("server.port_range", "performance.platform.batch.max_batch_size")
    made = keeping(NEW, OLD, keys)
    assert set(differing(NEW, made)) == set(keys)
    assert set(differing(made, OLD)) == set(differing(NEW, OLD)) - set(keys)


configs = st.builds(
    Config,
    server=st.builds(
        ServerConfig,
        root=st.sampled_from([Path(), Path("/a")]),
        drain_seconds=st.sampled_from([1.0, 2.0]),
    ),
    write=st.builds(WriteConfig, enabled=st.booleans()),
    performance=st.builds(
        PerformanceConfig,
        files=st.builds(FilesConfig, read_ahead_kb=st.integers(0, 2)),
        platform=st.builds(
            PlatformConfig,
            batch=st.builds(BatchConfig, enable_sendmmsg=st.booleans()),
        ),
    ),
)


@given(configs, configs, st.data())
def test_what_is_kept_and_what_differs_is_all(
    new: Config, old: Config, data: st.DataObject
) -> None:
    keys = list(differing(new, old))
    assert (not keys) == (new == old)
    kept = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    made = keeping(new, old, kept)
    assert set(differing(made, old)) == set(keys) - kept
    assert set(differing(new, made)) == kept
    assert keeping(new, old, keys) == old
    assert len(difference(made, old)) == len(keys) - len(kept)
