"""`snowowl config`: exit codes, what goes to which stream, and no file lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import attrs
import click
import pytest

from snowowl.cli.config import _FILE_VARIABLE, config
from snowowl.config import (
    CONFIG_VARIABLE,
    VARIABLES,
    Config,
    LogConfig,
    ServerConfig,
    WriteConfig,
    default_document,
    parse_config,
)
from snowowl.config.schema import json_schema

GOOD = '[log]\nlevel = "debug"\n'
IDLE = GOOD + "[write]\noverwrite = true\n"
BAD = '[server]\ntid = "shard"\n\n[log]\nlevl = "info"\n'


@attrs.frozen
class Outcome:
    code: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: str | Path, **environment: str) -> Outcome: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; click's own CliRunner keeps the streams apart only since click 8.2."""
    for name in (CONFIG_VARIABLE, *(variable.name for variable in VARIABLES)):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path, **environment: str) -> Outcome:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            config.main([str(argument) for argument in arguments], prog_name="snowowl config")
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("good", GOOD), ("idle", IDLE), ("bad", BAD)):
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_check_of_a_good_file(run: Run, folder: Path) -> None:
    file = folder / "good.toml"
    assert run("check", file) == Outcome(0, f"{file}: ok\n", "")


def test_check_of_a_bad_file_names_every_mistake(run: Run, folder: Path) -> None:
    file = folder / "bad.toml"
    outcome = run("check", file)
    assert (outcome.code, outcome.stdout) == (78, "")
    first, second = outcome.stderr.splitlines()
    assert first.startswith(f"{file}:2: server.tid: must be one of ")
    assert second == f"{file}:5: log.levl: unknown key (did you mean level?)"


def test_check_of_no_file(run: Run, folder: Path) -> None:
    outcome = run("check", folder / "none.toml")
    assert outcome.code == 78
    assert "there is no such file" in outcome.stderr


def test_a_warning_is_no_failure(run: Run, folder: Path) -> None:
    file = folder / "idle.toml"
    assert run("check", file) == Outcome(
        0,
        f"{file}: ok\n",
        f"{file}: warning: write.overwrite: has no effect while write.enabled is false\n",
    )


def test_check_takes_the_file_from_the_environment(run: Run, folder: Path) -> None:
    file = str(folder / "good.toml")
    assert run("check", SNOWOWL_CONFIG=file).stdout == f"{file}: ok\n"


@pytest.mark.parametrize("environment", [{}, {"SNOWOWL_CONFIG": ""}])
def test_check_of_nothing_is_wrong_usage(run: Run, environment: dict[str, str]) -> None:
    outcome = run("check", **environment)
    assert outcome.code == 2
    assert "SNOWOWL_CONFIG" in outcome.stderr


def test_check_in_json(run: Run, folder: Path) -> None:
    file = str(folder / "bad.toml")
    outcome = run("check", "--json", file)
    assert (outcome.code, outcome.stderr) == (78, "")
    document = json.loads(outcome.stdout)
    assert (document["file"], document["ok"], document["warnings"]) == (file, False, [])
    assert document["problems"][1] == {
        "file": file,
        "line": 5,
        "key": "log.levl",
        "message": "unknown key (did you mean level?)",
    }
    idle = run("check", "--json", folder / "idle.toml")
    document = json.loads(idle.stdout)
    assert (idle.code, document["ok"], document["problems"]) == (0, True, [])
    assert len(document["warnings"]) == 1
    nothing = json.loads(run("check", "--json", folder / "none.toml").stdout)
    assert nothing["problems"][0]["line"] is None


@pytest.mark.parametrize("arguments", [(), ("-",), ("-", "--force")])
def test_init_writes_to_standard_output(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("init", *arguments) == Outcome(0, default_document(), "")


def test_init_writes_a_file_that_passes_the_check(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "snowowl.toml"
    assert run("init", file) == Outcome(0, "", "")
    assert file.read_text(encoding="utf-8") == default_document()
    assert run("check", file).code == 0


def test_init_overwrites_only_when_told(run: Run, folder: Path) -> None:
    file = folder / "good.toml"
    outcome = run("init", file)
    assert outcome.code == 73
    assert "--force" in outcome.stderr
    assert file.read_text() == GOOD
    assert run("init", "--force", file).code == 0
    assert file.read_text(encoding="utf-8") == default_document()


def test_init_where_nothing_can_be_written(run: Run, tmp_path: Path) -> None:
    outcome = run("init", tmp_path / "none" / "a.toml")
    assert outcome.code == 73
    assert "cannot be written: No such file or directory" in outcome.stderr


def test_show_of_the_defaults(run: Run) -> None:
    outcome = run("show")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert parse_config(outcome.stdout) == Config()


def test_show_is_the_file_and_the_environment_over_it(run: Run, folder: Path) -> None:
    outcome = run(
        *("show", "--config", folder / "idle.toml"),
        SNOWOWL_WRITABLE="yes",
        SNOWOWL_LISTEN="127.0.0.1:6969 [::1]:6969",
        SNOWOWL_ROOT="/srv",
    )
    assert (outcome.code, outcome.stderr) == (0, "")
    assert parse_config(outcome.stdout) == Config(
        server=ServerConfig(root=Path("/srv"), listen=("127.0.0.1:6969", "[::1]:6969")),
        write=WriteConfig(enabled=True, overwrite=True),
        log=LogConfig(level="debug"),
    )


def test_show_takes_the_file_from_the_environment_and_warns(run: Run, folder: Path) -> None:
    outcome = run("show", SNOWOWL_CONFIG=str(folder / "idle.toml"))
    assert 'level = "debug"' in outcome.stdout
    assert outcome.stderr.startswith("warning: write.overwrite: ")


def test_show_names_the_variable_that_is_wrong(run: Run) -> None:
    outcome = run("show", SNOWOWL_TID="x", SNOWOWL_WRITABLE="perhaps")
    assert (outcome.code, outcome.stdout) == (78, "")
    assert outcome.stderr.splitlines() == [
        'SNOWOWL_WRITABLE: write.enabled: must be true or false, not "perhaps"',
        'SNOWOWL_TID: server.tid: must be one of "shared", "own", "listen", not "x"',
    ]


def test_show_of_a_bad_file(run: Run, folder: Path) -> None:
    outcome = run("show", "-c", folder / "bad.toml")
    assert (outcome.code, outcome.stdout) == (78, "")
    assert len(outcome.stderr.splitlines()) == 2


def test_schema(run: Run) -> None:
    outcome = run("schema")
    assert outcome.code == 0
    assert json.loads(outcome.stdout) == json_schema()


def test_the_name_of_the_variable_is_the_one_of_the_package() -> None:
    assert _FILE_VARIABLE == CONFIG_VARIABLE


@pytest.mark.parametrize("command", list(config.commands.values()), ids=str)
def test_every_command_has_help(command: click.Command) -> None:
    assert command.help
    assert command.get_short_help_str(limit=100).endswith(".")


def test_help_waits_for_nothing_slow() -> None:
    program = """
import sys
import snowowl.cli.config
slow = {"attrs", "cattrs", "tomlkit", "trio"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
