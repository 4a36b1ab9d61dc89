"""What `serve`, `doctor` and `config` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowowl.cli.configuration import configure, port_range_change, problem_entries, warnings_of
from snowowl.config import VARIABLES, Change, Config, ConfigError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)


def test_flags_before_environment_before_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "snowowl.toml"
    file.write_text('[server]\ntid = "own"\nlisten = ["*:1"]\n[log]\nformat = "json"\n')
    monkeypatch.setenv("SNOWOWL_TID", "listen")
    monkeypatch.setenv("SNOWOWL_LISTEN", "*:2")
    config = configure(str(file), [Change("server.listen", ["*:3"], "--listen")])
    assert config.log.format == "json"
    assert config.server.tid == "listen"
    assert config.server.listen == ("*:3",)
    assert configure(None, ()).log == Config().log


def test_a_port_range() -> None:
    assert port_range_change("5:6").value == (5, 6)
    with pytest.raises(ConfigError, match="must be FIRST:LAST"):
        configure(None, [port_range_change("5")])


def test_problems_for_json(tmp_path: Path) -> None:
    file = tmp_path / "snowowl.toml"
    file.write_text("[server]\ntid = 5\n")
    with pytest.raises(ConfigError) as caught:
        configure(str(file), ())
    (entry,) = problem_entries(caught.value.problems)
    assert (entry["file"], entry["line"], entry["key"]) == (str(file), 2, "server.tid")


def test_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWOWL_TIT", "own")
    config = configure(None, [Change("write.overwrite", value=True, origin="--overwrite")])
    first, second = warnings_of(config)
    assert "SNOWOWL_TID" in first
    assert second.startswith("write.overwrite")
