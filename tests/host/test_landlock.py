"""What a confined process can still do; each is one of its own."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from snowowl.host import landlock
from snowowl.host.landlock import LandlockError
from tests.host.scripts import said

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="Landlock is of Linux"),
]


@pytest.fixture
def version() -> int:
    try:
        return landlock.abi()
    except LandlockError as error:
        pytest.skip(f"no Landlock here: {error}")


def confined(rules: str, *tries: str, ports: str = "()") -> list[str]:
    """Return what each try comes to, in a process with these rules."""
    text = f"""
import errno, os, socket, sys
from pathlib import Path
from snowowl.host.landlock import Access, Rule, restrict
def attempt(code):
    try: exec(code, globals())
    except OSError as error: print(errno.errorcode[error.errno])
    else: print("done")
restrict([{rules}], bind_ports={ports})
for code in {tries!r}: attempt(code)
"""
    return said(text)


@pytest.mark.usefixtures("version")
def test_what_is_read(folder: Path) -> None:
    (folder / "file").write_bytes(b"octets")
    read = f"Rule(Path({str(folder)!r}), Access.READ)"
    assert confined(
        read,
        f"assert open({str(folder / 'file')!r}).read() == 'octets'",
        f"os.listdir({str(folder)!r})",
        "open('/etc/passwd')",
        "os.listdir('/')",
        "open('/proc/self/environ')",
        f"open({str(folder / 'file')!r}, 'r+')",
        f"open({str(folder / 'new')!r}, 'x')",
        f"os.unlink({str(folder / 'file')!r})",
        "os.execv('/bin/true', ['true'])",
    ) == ["done", "done", *["EACCES"] * 7]


@pytest.mark.usefixtures("version")
def test_a_link_out_of_the_folder_leads_nowhere(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("/etc")
    rule = f"Rule(Path({str(folder)!r}), Access.READ)"
    tries = (f"open({str(folder / 'link')!r})", f"open({str(folder / 'up/passwd')!r})")
    assert confined(rule, *tries) == ["EACCES", "EACCES"]


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_files_are_replaced(place: str, folder: Path) -> None:
    """By both ways that uploads have: a file without a name, and one with a name of its own."""
    if not os.access(place, os.W_OK):
        pytest.skip(f"no {place}")
    target = Path(place, folder.name + "-landlock")
    (target / "deep").mkdir(parents=True)
    tries = (
        f"d = os.open({str(target / 'deep')!r}, os.O_PATH | os.O_DIRECTORY)",
        "t = os.open('.', os.O_WRONLY | os.O_TMPFILE, 0o600, dir_fd=d)",
        "os.write(t, b'new')",
        "os.link(f'/proc/self/fd/{t}', 'a', dst_dir_fd=d, follow_symlinks=True)",
        "n = os.open('.n', os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=d)",
        "os.ftruncate(n, 5)",
        "os.link('.n', 'b', src_dir_fd=d, dst_dir_fd=d)",
        "os.unlink('.n', dir_fd=d)",
        "os.rename('b', 'a', src_dir_fd=d, dst_dir_fd=d)",
        f"os.rename('a', {str(target / 'a')!r}, src_dir_fd=d)",
        "s = os.open('.', os.O_RDONLY | os.O_DIRECTORY, dir_fd=d); os.fsync(s)",
    )
    refused = (
        f"os.mkdir({str(target / 'folder')!r})",
        f"os.symlink('/etc', {str(target / 'link')!r})",
        f"os.mkfifo({str(target / 'fifo')!r})",
        f"os.rmdir({str(target / 'deep')!r})",
        f"os.link({str(target / 'a')!r}, {str(folder / 'out')!r})",
    )
    try:
        outcome = confined(f"Rule(Path({str(target)!r}), Access.WRITE)", *tries, *refused)
        assert outcome[: len(tries)] == ["done"] * len(tries)
        assert set(outcome[len(tries) :]) <= {"EACCES", "EXDEV"}
        assert (target / "a").read_bytes() == bytes(5)
    finally:
        for path in sorted(target.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        target.rmdir()


@pytest.mark.usefixtures("version")
def test_files_are_appended_to(folder: Path) -> None:
    """A record can be continued and begun, and not be cut short, read or removed."""
    (folder / "log").write_text("a\n")
    log = str(folder / "log")
    assert confined(
        f"Rule(Path({str(folder)!r}), Access.APPEND)",
        f"open({log!r}, 'a').write('b')",
        f"open({str(folder / 'next')!r}, 'a')",
        f"open({log!r})",
        f"os.unlink({log!r})",
        f"os.rename({log!r}, {log + '2'!r})",
    ) == ["done", "done", "EACCES", "EACCES", "EACCES"]
    if landlock.abi() >= 3:
        rule = f"Rule(Path({str(folder)!r}), Access.APPEND)"
        assert confined(rule, f"open({log!r}, 'w')") == ["EACCES"]


def test_tcp(version: int) -> None:
    if version < 4:
        pytest.skip("no rights for ports")
    tries = ("s = socket.socket(); s.bind(('127.0.0.1', {}))", "s.connect(('127.0.0.1', 22))")
    bind, connect = tries
    assert confined("", bind.format(0), connect) == ["EACCES", "EACCES"]
    assert confined("", bind.format(39169), bind.format(39170), ports="[39169]") == [
        "done",
        "EACCES",
    ]
    udp = "u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))"
    assert confined("", udp) == ["done"]


def test_signals_and_abstract_sockets(version: int) -> None:
    if version < 6:
        pytest.skip("no scopes")
    assert confined(
        "",
        "os.kill(os.getppid(), 0)",
        "os.kill(os.getpid(), 0)",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect('\\0snowowl-nobody')",
    ) == ["EPERM", "done", "ECONNREFUSED"]


@pytest.mark.usefixtures("version")
def test_a_socket_is_made(folder: Path) -> None:
    path = str(folder / "socket")
    bind = f"u = socket.socket(socket.AF_UNIX); u.bind({path!r})"
    assert confined("", bind) == ["EACCES"]
    rule = f"Rule(Path({str(folder)!r}), Access.SOCKET)"
    assert confined(rule, bind, f"os.unlink({path!r})", f"open({path!r}, 'x')") == [
        "done",
        "done",
        "EACCES",
    ]


@pytest.mark.usefixtures("version")
def test_a_path_that_is_not_there_gives_nothing(folder: Path) -> None:
    missing = f"Rule(Path({str(folder / 'missing')!r}), Access.WRITE)"
    (folder / "file").touch()
    below = f"Rule(Path({str(folder / 'file/below')!r}), Access.READ)"
    single = f"Rule(Path({str(folder / 'file')!r}), Access.WRITE)"
    tries = (f"os.listdir({str(folder)!r})", f"open({str(folder / 'file')!r}, 'w')")
    assert confined(f"{missing}, {below}, {single}", *tries) == ["EACCES", "done"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSYS, "this kernel has none"),
        (errno.EOPNOTSUPP, "switched off at boot"),
        (errno.EPERM, "Operation not permitted"),
    ],
)
def test_there_is_none(number: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(landlock, "syscall", refuse)
    with pytest.raises(LandlockError, match=words):
        landlock.restrict(())


@pytest.mark.parametrize(("version", "files", "net", "scopes"), [
    (1, 13, 0, 0),
    (2, 14, 0, 0),
    (3, 15, 0, 0),
    (4, 15, 2, 0),
    (5, 16, 2, 0),
    (6, 16, 2, 2),
    (99, 16, 2, 2),
])  # fmt: skip
def test_no_more_than_a_kernel_knows(version: int, files: int, net: int, scopes: int) -> None:
    """What it does not know it refuses as a whole (EINVAL)."""
    tables = (landlock._FILE_RIGHTS, landlock._PORT_RIGHTS, landlock._SCOPES)
    known = [landlock._known(table, version).bit_count() for table in tables]
    assert known == [files, net, scopes]
