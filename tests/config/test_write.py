"""The values of `[write]` that are texts with a meaning."""

from __future__ import annotations

import pytest

from snowowl.config import WriteConfig
from snowowl.config.write import check_mode, check_unique_name


@pytest.mark.parametrize(("text", "mode"), [("0640", 0o640), ("600", 0o600), ("0o666", 0o666)])
def test_modes(text: str, mode: int) -> None:
    assert check_mode(text) == mode


@pytest.mark.parametrize("text", ["", "abc", "0755", "04640", "0040", "07640", "-640", "0o"])
def test_what_is_no_mode_for_an_upload(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        check_mode(text)


@pytest.mark.parametrize("text", ["{name}.{number}", "{date}-{time}-{client}-{number}{suffix}"])
def test_templates(text: str) -> None:
    check_unique_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{name}",
        "up/{number}",
        "{nome}.{number}",
        "{number",
        "{number:>9}",
        "{number!r}",
        "{0}{number}",
        "{name.x}{number}",
        "x" * 93 + "{number}",
    ],
)
def test_templates_that_make_no_unique_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_unique_name(text)


def test_what_has_no_effect() -> None:
    assert [key for key, _ in WriteConfig(enabled=True, unique_name="{number}").unused()] == [
        "write.unique_name"
    ]
    assert [key for key, _ in WriteConfig(quota=5).unused()] == ["write.quota"]
    for unique in ("always", "if-taken"):
        both = WriteConfig(enabled=True, unique=unique, overwrite=True)
        assert [key for key, _ in both.unused()] == ["write.overwrite"]
    none = WriteConfig(enabled=True, unique="always", create=False)
    assert [key for key, _ in none.unused()] == ["write.create"]
