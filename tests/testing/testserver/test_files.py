"""The files of a test's server: a folder that looks like a dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from snowowl.testing.testserver import Content, Files, ServedFiles


@pytest.fixture
def files(tmp_path: Path) -> ServedFiles:
    files = ServedFiles()
    files.root = tmp_path / "root"
    files.root.mkdir()
    return files


def test_octets_are_set_read_counted_and_taken_away(files: ServedFiles) -> None:
    files["uImage"] = b"kernel"
    files["dtb/board.dtb"] = bytearray(b"tree")
    files["uImage"] = memoryview(b"another")
    assert dict(files) == {"dtb/board.dtb": b"tree", "uImage": b"another"}
    assert len(files) == 2
    assert repr(files) == "<files dtb/board.dtb, uImage>"
    del files["uImage"]
    assert "uImage" not in files
    assert (files.root / "dtb/board.dtb").read_bytes() == b"tree"


def test_a_file_that_is_not_there_is_no_key(files: ServedFiles) -> None:
    files["folder/x"] = b""
    for name in ("y", "folder", "folder/x/y"):
        with pytest.raises(KeyError):
            files[name]
        with pytest.raises(KeyError):
            del files[name]


def test_paths_are_copied_and_folders_with_all_that_is_in_them(
    files: ServedFiles, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    (build / "dtb").mkdir(parents=True)
    (build / "uImage").write_bytes(b"kernel")
    (build / "dtb/board.dtb").write_bytes(b"tree")
    files["boot/uImage"] = build / "uImage"
    files["firmware"] = build
    (build / "uImage").write_bytes(b"changed later")
    assert files["boot/uImage"] == b"kernel"
    assert sorted(files) == ["boot/uImage", "firmware/dtb/board.dtb", "firmware/uImage"]
    files.take(build)
    assert files["uImage"] == b"changed later"


def test_a_new_file_never_touches_the_octets_of_the_old_one(files: ServedFiles) -> None:
    files["x"] = b"old"
    with (files.root / "x").open("rb") as reader:
        files["x"] = b"new"
        assert reader.read() == b"old"


def test_a_copy_that_fails_leaves_nothing(files: ServedFiles, tmp_path: Path) -> None:
    files["x"] = b"old"
    with pytest.raises(FileNotFoundError):
        files["x"] = tmp_path / "missing"
    assert [path.name for path in files.root.iterdir()] == ["x"]
    with pytest.raises(NotADirectoryError, match="give a folder"):
        files.take(tmp_path / "missing")


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../x", "./x", "a//x", "x/", "a\0b"])
def test_names_lead_to_no_other_place(files: ServedFiles, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a file here"):
        files[name] = b""


def test_a_text_is_not_taken_for_a_path_nor_for_octets(files: ServedFiles) -> None:
    with pytest.raises(TypeError, match=r"give pathlib.Path"):
        files["x"] = cast("Content", "uImage")
    with pytest.raises(TypeError, match=r"give pathlib.Path"):
        files.take(cast("Files", "build"))
    assert not files


def test_uploads_that_run_are_no_files(files: ServedFiles) -> None:
    (files.root / ".snowowl-1").touch()
    assert not list(files)


def test_nothing_is_written_before_there_is_a_root() -> None:
    files = ServedFiles()
    with pytest.raises(RuntimeError, match="not been started"):
        files["x"] = b""
    assert repr(files) == "<files none>"
