"""Every exception to a rule of security says why, and what the configuration promises is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.whole_repo.exceptions import REASON_MIN, ROOT, exceptions, of_line

PYPROJECT: Final = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_exception_is_explained() -> None:
    bare = [each for each in exceptions() if len(each.reason) < REASON_MIN]
    assert not bare


def test_exceptions_are_found() -> None:
    found = list(exceptions())
    assert any(each.codes == "S104" and each.reason == "what was asked for" for each in found)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("x = 1  # noqa: S104 - a reason", ("S104", "a reason")),
        ("x = 1  # noqa: S104", ("S104", "")),
        ("x = 1  # noqa: E402, S603", ("E402, S603", "")),
        ("x = 1  # noqa", ("all", "")),
        ("x = 1  # nosec", ("all", "")),
        ("x = 1  # nosec B104 - a reason", ("B104", "a reason")),
        ("x = 1  # noqa: SLF001 - theirs", None),
        ("x = 1  # noqa: E402", None),
        ("x = 1  # a comment", None),
    ],
)
def test_what_is_an_exception(line: str, found: tuple[str, str] | None) -> None:
    assert of_line(line) == found


def test_each_skip_of_bandit_has_a_comment_on_its_line() -> None:
    skips = tomllib.loads(PYPROJECT)["tool"]["bandit"]["skips"]
    for code in skips:
        assert re.search(rf'^  "{code}",  # \S.{{20,}}$', PYPROJECT, re.MULTILINE), code


def test_rules_of_ruff_stand_in_for_those_that_bandit_skips() -> None:
    lint = tomllib.loads(PYPROJECT)["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]
    own = [code for code in lint["ignore"] if re.fullmatch(r"S\d*", code)]
    assert own == ["S101"]
    for folder, codes in lint["per-file-ignores"].items():
        assert "S" not in codes or folder.startswith(("tests", "fuzz")), folder


def test_no_xml_is_parsed() -> None:
    parsing = re.compile(r"\bET\.(parse|fromstring|XML|iterparse)\b|\b(minidom|expat|sax)\b")
    found = [
        path
        for path in Path(ROOT / "snowowl").rglob("*.py")
        if parsing.search(path.read_text("utf-8"))
    ]
    assert not found
