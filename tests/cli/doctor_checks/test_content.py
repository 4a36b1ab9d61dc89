"""The root and what is in it: named, escaped, and never walked for long."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks import content as module
from snowowl.cli.doctor_checks.content import content
from snowowl.cli.doctor_checks.finding import Finding, Level
from tests.cli.doctor_checks.machines import machine, subject


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    found.mkdir()
    return found


def look(root: Path, euid: int | None = None, **keys: object) -> list[Finding]:
    at = machine(root.parent / "machine", euid=os.geteuid() if euid is None else euid)
    return list(content(subject(at, server__root=str(root), server__user="root", **keys)))


def told(findings: list[Finding], words: str) -> Finding:
    (found,) = [finding for finding in findings if words in finding.message]
    return found


def test_a_good_root(root: Path) -> None:
    (root / "a").write_bytes(b"")
    (root / "sub").mkdir()
    (root / "sub" / "b").write_bytes(b"")
    (root / "link").symlink_to("sub/b")
    findings = look(root)
    assert {finding.level for finding in findings} == {Level.OK}
    told(findings, "2 files can be fetched")


def test_no_root(root: Path) -> None:
    (finding,) = look(root / "missing")
    assert (finding.level, finding.advice) == (Level.FAIL, f"create it: mkdir -p {root}/missing")
    (root / "file").touch()
    (finding,) = look(root / "file")
    assert "no folder" in finding.message


def test_what_is_not_served_is_named(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "sock"))
    (root / "absolute").symlink_to(root / "pipe")
    (root / "escape").symlink_to("..")
    (root / "broken").symlink_to("nowhere")
    (root / ".hidden").touch()
    (root / "grün").touch()
    findings = look(root)
    assert "pipe (a pipe), sock (a socket)" in told(findings, "not served: pipe").message
    assert "absolute, escape" in told(findings, "leave the root").message
    assert told(findings, "lead nowhere: broken").level is Level.WARN
    assert told(findings, "hidden, and not served: .hidden").level is Level.NOTE
    told(findings, "beyond ASCII: grün")
    assert not [f for f in look(root, names__hidden=True) if "hidden" in f.message]


def test_names_are_escaped_and_few(root: Path) -> None:
    for number in range(9):
        (root / f".\x1b[31m{number}\n").touch()
    finding = told(look(root), "hidden")
    assert finding.message.isprintable()
    assert finding.message.endswith("and 6 more")


def test_another_user_is_judged_by_the_modes(root: Path) -> None:
    (root / "secret").touch(mode=0o600)
    (root / "open").touch(mode=0o644)
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    findings = look(root, euid=4_000_000)
    if any("may not pass" in finding.message for finding in findings):
        pytest.skip("nobody else may enter the folder for temporary files")
    assert "secret" in told(findings, "user 4000000 may not read").message
    told(findings, "1 file can be fetched")
    root.chmod(0o700)
    assert look(root, euid=4_000_000)[0].advice == f"chmod o+rx {root}"


def test_a_large_tree_is_not_walked_to_its_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (root / str(number)).touch()
    monkeypatch.setattr(module, "ENTRIES_MAX", 20)
    assert told(look(root), "20 files among the first 20 entries").level is Level.NOTE
    monkeypatch.setattr(module, "SCAN_SECONDS", -1.0)
    told(look(root), "0 files among the first 0 entries")
