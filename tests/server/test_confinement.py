"""What a configuration needs of the file system, and what a process that has only that can follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from snowowl.config import Config, ServerConfig, WriteConfig
from snowowl.config.outputs import AuditConfig, MetricsConfig
from snowowl.host.landlock import Access, LandlockError, Rule
from snowowl.observe.events import Confined, Event, SafetyMissing
from snowowl.server import confinement as module
from snowowl.server.confinement import Confinement, confine, confine_and_tell, python_folders


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Take what would be asked of the kernel, which gives it by version 7."""
    seen: dict[str, object] = {}

    def restrict(rules: Iterable[Rule], *, bind_ports: Iterable[int] = ()) -> int:
        seen["rules"] = {rule.path: rule.access for rule in rules}
        seen["ports"] = tuple(bind_ports)
        return 7

    monkeypatch.setattr(module, "restrict", restrict)
    return seen


def config(
    root: Path,
    write: WriteConfig | None = None,
    audit: AuditConfig | None = None,
    metrics: MetricsConfig | None = None,
) -> Config:
    return Config(
        server=ServerConfig(root=root),
        write=write or WriteConfig(),
        audit=audit or AuditConfig(),
        metrics=metrics or MetricsConfig(),
    )


def rules(asked: dict[str, object]) -> dict[Path, Access]:
    found = asked["rules"]
    assert isinstance(found, dict)
    return found


def ports(asked: dict[str, object]) -> tuple[int, ...]:
    found = asked["ports"]
    assert isinstance(found, tuple)
    return found


def test_the_root_is_read_only(tmp_path: Path, asked: dict[str, object]) -> None:
    confinement = confine(config(tmp_path))
    assert rules(asked)[tmp_path] is Access.READ
    assert asked["ports"] == ()
    assert (confinement.abi, confinement.folders()) == (7, (str(tmp_path),))
    assert Access.WRITE not in rules(asked).values()
    assert {Path("/"), Path("/etc"), Path.cwd() / "tests"}.isdisjoint(rules(asked))


def test_uploads_are_written(tmp_path: Path, asked: dict[str, object]) -> None:
    confine(config(tmp_path, write=WriteConfig(enabled=True)))
    assert rules(asked)[tmp_path] is Access.WRITE


def test_a_root_that_is_a_link(tmp_path: Path, asked: dict[str, object]) -> None:
    """The rule is for where it leads; a reload may name it in either way."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    confinement = confine(config(tmp_path / "link"))
    assert list(confinement.kept(config(tmp_path / "real"))) == []
    assert list(confinement.kept(config(tmp_path / "link"))) == []


def test_audit_and_metrics(tmp_path: Path, asked: dict[str, object]) -> None:
    audit = AuditConfig(file=tmp_path / "log/audit.jsonl")
    (tmp_path / "log").mkdir()
    confine(config(tmp_path / "root", audit=audit, metrics=MetricsConfig(listen="127.0.0.1:9169")))
    assert rules(asked)[tmp_path / "log"] is Access.APPEND
    assert list(ports(asked)) == [9169]
    confine(config(tmp_path / "root", metrics=MetricsConfig(listen=f"unix:{tmp_path}/m.sock")))
    assert rules(asked)[tmp_path] is Access.SOCKET
    assert list(ports(asked)) == []


def test_the_configuration_can_be_read_anew(tmp_path: Path, asked: dict[str, object]) -> None:
    """Also after an editor has put another file in its place; but not for that all of /etc."""
    confine(config(tmp_path / "root"), tmp_path / "snowowl.toml")
    assert rules(asked)[tmp_path] is Access.READ
    confine(config(tmp_path / "root"), Path("/etc/snowowl.toml"))
    assert Path("/etc") not in rules(asked)
    assert rules(asked)[Path("/etc/snowowl.toml")] is Access.READ


def test_a_configuration_at_home_opens_nothing_else_there(
    tmp_path: Path, asked: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "snowowl.toml"
    file.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    confine(config(tmp_path / "root"), file)
    assert rules(asked)[file] is Access.READ
    assert tmp_path not in rules(asked)


def test_python_can_still_import() -> None:
    folders = python_folders()
    for name in ("os", "json", "trio", "snowowl.server.serve"):
        file = sys.modules[name].__file__ if name in sys.modules else __import__(name).__file__
        assert file is not None
        assert any(Path(os.path.realpath(file)).is_relative_to(folder) for folder in folders), name


def test_not_where_it_was_started_by_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m` puts the working directory on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/", "/etc", *sys.path])
    monkeypatch.setenv("HOME", "/home/somebody")
    assert {tmp_path, Path("/"), Path("/etc")}.isdisjoint(python_folders())


READER = Confinement(7, readable=(Path("/srv/tftp"),))
FULL = Confinement(
    7,
    readable=(),
    writable=(Path("/srv/tftp"),),
    appendable=(Path("/var/log/snowowl"),),
    socket_folders=(Path("/run/snowowl"),),
    ports=(9169,),
)
SRV = Path("/srv/tftp")
UPLOADS = WriteConfig(enabled=True)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (READER, config(SRV), []),
        (READER, config(SRV / "boot"), []),
        (READER, config(Path("/srv")), ["server.root"]),
        (READER, config(Path("/srv/tftp2")), ["server.root"]),
        (READER, config(SRV / "../other"), ["server.root"]),
        (READER, config(SRV, write=UPLOADS), ["write.enabled"]),
        (READER, config(Path("/other"), write=UPLOADS), ["server.root", "write.enabled"]),
        (FULL, config(Path("/other"), write=UPLOADS), ["server.root"]),
        (FULL, config(SRV, write=UPLOADS), []),
        (FULL, config(SRV), []),
        (FULL, config(SRV, audit=AuditConfig(file=Path("/var/log/snowowl/b"))), []),
        (FULL, config(SRV, audit=AuditConfig(file=Path("/var/log/b"))), ["audit.file"]),
        (FULL, config(SRV, metrics=MetricsConfig(listen="127.0.0.2:9169")), []),
        (FULL, config(SRV, metrics=MetricsConfig(listen="127.0.0.1:9170")), ["metrics.listen"]),
        (FULL, config(SRV, metrics=MetricsConfig(listen="unix:/run/snowowl/m")), []),
        (READER, config(SRV, metrics=MetricsConfig(listen="unix:/run/m")), ["metrics.listen"]),
    ],
)
def test_what_a_reload_cannot_have(before: Confinement, after: Config, kept: list[str]) -> None:
    assert list(before.kept(after)) == kept


def test_it_is_told(tmp_path: Path, asked: dict[str, object]) -> None:
    events: list[Event] = []
    assert confine_and_tell(config(tmp_path), None, events.append) is not None
    assert events == [Confined(7, (str(tmp_path),))]


def test_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(rules: Iterable[Rule], *, bind_ports: Iterable[int] = ()) -> int:
        raise LandlockError("this kernel has none")

    monkeypatch.setattr(module, "restrict", refuse)
    events: list[Event] = []
    assert confine_and_tell(config(tmp_path), None, events.append) is None
    (told,) = events
    assert isinstance(told, SafetyMissing)
    assert told.reason.startswith("no Landlock: this kernel has none")
