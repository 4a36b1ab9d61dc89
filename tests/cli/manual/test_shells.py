"""Completion, asked of the shells themselves where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from snowowl.cli import main, one_liners
from snowowl.cli.manual.shells import SHELLS, bash, fish, zsh
from snowowl.cli.manual.tree import program

PROGRAM = program()
COMMANDS = set(one_liners())

CASES = [
    ([""], COMMANDS),
    (["co"], {"completion", "config", "conformance"}),
    (["config", ""], {"check", "init", "schema", "show"}),
    (["completion", ""], {"bash", "fish", "zsh"}),
    (["serve", "--log-format", "l"], {"logfmt"}),
    (["fuzz", "--only", "ha"], {"hang"}),
    (["serve", "--single"], {"--single-port"}),
    (["get", "--no-o"], {"--no-options"}),
    (["config", "init", "--fo"], {"--force"}),
    (["config", "check", "some"], {"some-file", "some-folder"}),
    (["doctor", "-c", "some"], {"some-file", "some-folder"}),
    (["serve", "some"], {"some-folder"}),
    (["get", "-q", "--output", "some-fi"], {"some-file"}),
]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "some-file").touch()
    (tmp_path / "some-folder").mkdir()
    return tmp_path


def run(here: Path, *words: str, script: str) -> str:
    (here / ".script").write_text(script, encoding="utf-8")
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"), [*CASES, (["serve", "--log-format", "=", "l"], {"logfmt"})]
)
def test_bash(words: list[str], offered: set[str], here: Path) -> None:
    ask = (
        'COMP_WORDS=(snowowl "$@"); COMP_CWORD=$#; . ./.script; _snowowl;'
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    out = run(here, "bash", "--norc", "-c", ask, "ask", *words, script=bash(PROGRAM))
    assert set(out.split()) == offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize(("words", "offered"), CASES)
def test_fish(words: list[str], offered: set[str], here: Path) -> None:
    ask = f"source .script; complete -C 'snowowl {' '.join(words)}'"
    out = run(here, "fish", "--no-config", "-c", ask, script=fish(PROGRAM))
    found = {line.split("\t")[0].rstrip("/") for line in out.splitlines()}
    assert offered <= found
    assert found <= offered | (
        {"some-file", "some-folder"} if words[-1].startswith("so") else set()
    )


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_reads_it(here: Path) -> None:
    script = zsh(PROGRAM)
    assert run(here, "zsh", "-f", "-n", ".script", script=script) == ""
    ask = "autoload -U compinit; compinit -u -D; source ./.script; print ${_comps[snowowl]}"
    assert run(here, "zsh", "-f", "-c", ask, script=script) == "_snowowl\n"


def test_every_command_and_option_is_in_every_script() -> None:
    for make in SHELLS.values():
        script = make(PROGRAM)
        for command in PROGRAM.commands:
            assert command.name in script
            for option in command.options:
                for name in option.names:
                    assert name.lstrip("-") in script


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_the_command_prints_them(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, result.output) == (0, SHELLS[shell](PROGRAM))
    assert CliRunner().invoke(main, ["completion", "csh"]).exit_code == 2
