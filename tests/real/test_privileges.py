"""A server that was started with more than it needs: what is left of that while it serves."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from tests.host.scripts import public_folder, said
from tests.real.harness import (
    Peer,
    RefusedError,
    Server,
    fetch,
    names_in,
    read_on,
    rrq,
    run,
    serve_command,
    serving,
    store,
)
from tests.users import IS_ROOT

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="privileges of Linux"),
]
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")

CONTENT = bytes(range(256)) * 20


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def has_nothing(pid: int, uid: str) -> None:
    """Check that a process is a user's for good, with nothing to come back by."""
    found = status(pid)
    assert found["Uid"] == [uid] * 4
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert found[key] == ["0" * 16], key
    assert found["NoNewPrivs"] == ["1"]


@as_root
def test_root_becomes_nobody() -> None:
    """And serves, and takes uploads, with what this Python needs although nobody may enter its folders."""
    with public_folder() as root:
        (root / "file").write_bytes(CONTENT)
        with serving(root, "--user", "nobody", "--writable", "--overwrite", "-v") as server:
            has_nothing(server.process.pid, "65534")
            assert status(server.process.pid)["CapBnd"] == ["0" * 16]
            assert fetch(server.address, b"file") == CONTENT
            for content in (CONTENT, CONTENT[1:]):  # a file without a name, then one that replaces
                store(server.address, b"new", content)
                assert (root / "new").read_bytes() == content
            assert (root / "new").stat().st_uid == 65534
            with pytest.raises(RefusedError):
                fetch(server.address, b"missing")
            assert "became user nobody, group nogroup" in server.log()
            if "no Landlock" not in server.log():
                assert f"confined by Landlock to {root}" in server.log()
        assert names_in(root) == ["file", "new"]


@as_root
def test_a_user_and_a_group_by_number() -> None:
    with public_folder() as root:
        (root / "file").write_bytes(CONTENT)
        with serving(root, "--user", "54321", "--group", "54322") as server:
            has_nothing(server.process.pid, "54321")
            assert status(server.process.pid)["Gid"] == ["54322"] * 4
            assert status(server.process.pid)["Groups"] == ["54322"]
            assert fetch(server.address, b"file") == CONTENT


@as_root
def test_a_folder_that_is_not_for_nobody(tmp_path: Path) -> None:
    """It is said before anything is served, and which folder it is."""
    tmp_path.chmod(0o700)
    (tmp_path / "boot").mkdir()
    command = serve_command(tmp_path / "boot", "--listen", "127.0.0.1:0", "--user", "nobody")
    result = run(command)
    assert result.returncode == 1
    last = result.stderr.decode().splitlines()[-1]
    assert last.startswith(f"snowowl: cannot serve {tmp_path / 'boot'}: permission denied")
    assert "user nobody must be allowed to enter" in last
    assert "--user" in last


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--user", "nobody-at-all"], b"server.user: there is no user nobody-at-all"),
        (["--user", "0", "--group", "no-such"], b"server.group: there is no group no-such"),
    ],
)
def test_there_is_no_such_user(tmp_path: Path, flags: list[str], words: bytes) -> None:
    result = run(serve_command(tmp_path, "--listen", "127.0.0.1:0", *flags))
    assert result.returncode == 1
    assert words in result.stderr


def test_who_is_not_root_stays_who_it_is() -> None:
    """What is asked for and cannot be had is told."""
    with public_folder() as root:
        (root / "file").write_bytes(CONTENT)
        with serving(root, "--user", "daemon", unprivileged=True) as server:
            if IS_ROOT:
                has_nothing(server.process.pid, "65534")
            assert "server.user: has no effect, only root can become somebody" in server.log()
            assert fetch(server.address, b"file") == CONTENT


def test_without_landlock_it_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, config="[server]\nlandlock = false\n") as server:
        assert server.log().count("server.landlock is off") == 1
    with serving(tmp_path, "--workers", "2", config="[server]\nlandlock = false\n") as server:
        assert server.log().count("server.landlock is off") == 1


def workers_of(server: Server) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(word) for word in children.split()]


def test_workers_are_confined_and_the_supervisor_may_end_them(tmp_path: Path) -> None:
    """Signals to a confined process are not what Landlock keeps from."""
    (tmp_path / "file").write_bytes(CONTENT)
    with serving(tmp_path, "--workers", "2", "-v") as server:
        if "no Landlock" in server.wait_log("Landlock"):
            pytest.skip("no Landlock here")
        assert server.log().count(f"confined by Landlock to {tmp_path}") == 1
        assert all(status(pid)["NoNewPrivs"] == ["1"] for pid in workers_of(server))
        assert fetch(server.address, b"file") == CONTENT
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0


CONFINED = """
import os, sys
from pathlib import Path
from snowowl.cli import serve_startup as startup
from snowowl.config import Config, ServerConfig
root, user = sys.argv[1:]
config = Config(server=ServerConfig(root=Path(root), user=user))
events = []
startup.give_up_privileges(config, events.append)
startup.check_root(config.server.root)
confinement = startup.confine_to(config, None, events.append)
def attempt(what):
    try: what()
    except OSError as error: print(type(error).__name__)
    else: print("done")
print("confined" if confinement else "not confined")
attempt(lambda: open(f"{root}/file", "rb").read())
attempt(lambda: open("/etc/passwd"))
attempt(lambda: open(f"{root}/file", "w"))
attempt(lambda: os.setuid(0) if os.geteuid() else os.kill(1, 0))
attempt(lambda: os.execv("/bin/sh", ["sh", "-c", "true"]))
"""


@pytest.mark.parametrize("user", ["nobody", "root"])
def test_what_a_hijacked_server_could_do(user: str) -> None:
    """The same steps as at its start; then what is anybody's in Unix is tried."""
    if user == "root" and not IS_ROOT:
        pytest.skip("only root stays root")
    with public_folder() as root:
        (root / "file").write_bytes(CONTENT)
        lines = said(CONFINED, root, user)
    if lines[0] != "confined":
        pytest.skip("no Landlock here")
    assert lines[1:] == ["done", *["PermissionError"] * 4]


WITHOUT_EXECUTABLE_MEMORY = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
import mmap
try: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError: os.execv(sys.argv[1], sys.argv[1:])
sys.exit(78)
"""


def test_no_memory_is_both_written_and_executed(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute= of the unit: what is called by ctypes needs none."""
    prefix = [sys.executable, "-c", WITHOUT_EXECUTABLE_MEMORY]
    if run([*prefix, sys.executable, "-c", ""]).returncode == 77:
        pytest.skip("needs Linux 6.3")
    (tmp_path / "file").write_bytes(CONTENT)
    with serving(tmp_path, "--writable", "-v", prefix=prefix) as server:
        assert fetch(server.address, b"file") == CONTENT
        store(server.address, b"new", CONTENT)
        found = re.search(r"packets go by (\w+)", server.log())
        assert found
        assert found[1] != "portable"


LATE = """
[server]
root = "{root}"
[write]
enabled = true
overwrite = true
[audit]
file = "{root}/audit.jsonl"
[metrics]
listen = "127.0.0.1:0"
[protocol]
blksize_max = {blksize}
"""


def test_nothing_is_imported_once_privileges_are_gone(tmp_path: Path) -> None:
    """Nobody may be able to read the folders of this Python."""
    (tmp_path / "file").write_bytes(CONTENT)
    late = [sys.executable, str(Path(__file__).with_name("late.py"))]
    config = LATE.format(root=tmp_path, blksize=600)
    with serving(tmp_path, "-v", config=config, program=late) as server:
        for mode in (b"octet", b"netascii"):
            with Peer() as peer:
                packet, source = peer.ask(rrq(b"file", mode=mode), server.address)
                read_on(peer, packet, source)
        for _ in range(2):
            store(server.address, b"new", CONTENT)
        for name in (b"missing", b"../etc/passwd"):
            with pytest.raises(RefusedError):
                fetch(server.address, name)
        (server.log_file.parent / "snowowl.toml").write_text(config.replace("600", "700"))
        server.process.send_signal(signal.SIGHUP)
        server.wait_log("reloaded")
        server.terminate()
        assert server.wait() == 0
        assert server.log().splitlines()[-1] == "late:"
