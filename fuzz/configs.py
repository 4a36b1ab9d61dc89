"""Play of the configuration: any text is a `Config` or a list of problems with their places."""

from __future__ import annotations

import tempfile
from pathlib import Path

from snowowl.config import Config, ConfigError, dump_config, load_config, parse_config

FILE = "f.toml"


class Configs:
    """Texts, and files, that should be configurations."""

    def __init__(self) -> None:
        self.datagrams = 0

    def config(self, text: str) -> None:
        """Read a text."""
        self.datagrams += 1
        try:
            config = parse_config(text, file=FILE)
        except ConfigError as error:
            self._check(error, text.count("\n") + 1)
            return
        assert isinstance(config, Config)
        assert parse_config(dump_config(config)) == config, "written and read it is another one"

    def file(self, octets: bytes) -> None:
        """Read a file."""
        self.datagrams += 1
        with tempfile.NamedTemporaryFile(prefix="snowowl-fuzz-", suffix=".toml") as file:
            Path(file.name).write_bytes(octets)
            try:
                assert isinstance(load_config(file.name), Config)
            except ConfigError as error:
                self._check(error, octets.count(b"\n") + 1)

    @staticmethod
    def _check(error: ConfigError, lines: int) -> None:
        assert error.problems
        shown = str(error)
        assert len(shown.split("\n")) == len(error.problems), "a problem is not one line"
        assert shown.replace("\n", "").isprintable(), "something that steers a terminal"
        for problem in error.problems:
            assert problem.message
            assert 0 <= problem.line <= lines, f"there is no such line: {problem}"
            assert problem.line or not problem.key_path, f"a key without its line: {problem}"

    def close(self) -> None:
        """There is nothing to end."""
