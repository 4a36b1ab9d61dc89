"""What is given up does not come back, and that is looked at.

Each test gives up its privileges in a process of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.host.scripts import said, script
from tests.users import IS_ROOT

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="capabilities are of Linux"),
]
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root has something to give up")

IMPORTS = """
import os, socket, sys
from pathlib import Path
from snowowl.host.identity import Identity, find, current
from snowowl.host.privileges import *
"""
BECOME = f"{IMPORTS}\nnobody = find('65534', '65533')\nbecome(nobody)\nrenounce()\nverify(nobody)\n"


@as_root
def test_nothing_is_left() -> None:
    lines = said(f"{BECOME}\nprint(Path('/proc/self/status').read_text())")
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65533"] * 4
    assert status["Groups"].split() == ["65533"]
    assert [status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == ["0" * 16] * 5
    assert status["NoNewPrivs"] == "1"


@as_root
@pytest.mark.parametrize(
    "way",
    [
        "os.setuid(0)",
        "os.seteuid(0)",
        "os.setreuid(0, 0)",
        "os.setresuid(0, 0, 0)",
        "os.setgid(0)",
        "os.setgroups([0])",
        "open('/etc/shadow')",
        "socket.socket().bind(('127.0.0.1', 1))",
        "os.kill(1, 0)",
        "os.chroot('/')",
    ],
)
def test_no_way_back(way: str) -> None:
    caught = "except PermissionError: print('refused')"
    assert said(f"{BECOME}\ntry: {way}\n{caught}\nelse: print('done')") == ["refused"]


@as_root
def test_what_is_executed_gains_nothing(tmp_path: Path) -> None:
    """A copy of a program that is set-user-ID root runs as who has called it."""
    tmp_path.chmod(0o755)
    copy = Path("/tmp") / f"snowowl-suid-{os.getpid()}"
    try:
        copy.write_bytes(Path("/usr/bin/id").read_bytes())
        copy.chmod(0o4755)
        run = f"os.execv({str(copy)!r}, ['id', '-u'])"
        assert said(f"{BECOME}\n{run}") == ["65534"]
        without = BECOME.replace("renounce()", "").replace("verify(nobody)", "")
        assert said(f"{without}\n{run}") == ["0"]  # unlike this
    finally:
        copy.unlink()


@as_root
@pytest.mark.parametrize(
    "half",
    [
        "os.setresuid(65534, 65534, 0)",
        "os.setresgid(65533, 65533, 0)",
        "pass",
    ],
)
def test_half_of_it_is_found_out(half: str) -> None:
    """Each leaves a way back that no program would notice by looking at who it is."""
    text = f"{IMPORTS}\nnobody = find('65534', '65533')\n{half}\nverify(nobody)"
    done = script(text)
    assert "PrivilegeError" in done.stderr
    assert "please report this" in done.stderr


@as_root
def test_a_saved_root_is_found_out_without_proc() -> None:
    text = f"""{IMPORTS}
from snowowl.host import privileges
privileges._STATUS = Path("/no/such/file")
nobody = find("65534", "65533")
os.setresgid(65533, 65533, 65533)
os.setresuid(65534, 65534, 0)
verify(nobody)
"""
    assert "in part only" in script(text).stderr


@as_root
def test_a_user_namespace_without_that_user() -> None:
    """As a rootless container has it."""
    unshare = ["unshare", "--user", "--map-root-user"]
    if script("", prefix=unshare).returncode != 0:
        pytest.skip("no user namespaces here")
    done = script(BECOME, prefix=unshare)
    assert "PrivilegeError: cannot become user" in done.stderr
    assert "server.user" in done.stderr


def test_what_was_inherited_goes() -> None:
    """systemd's AmbientCapabilities=, after the ports are bound."""
    if not IS_ROOT:
        pytest.skip("only root can hand capabilities on")
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    prefix += ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    if script("", prefix=prefix).returncode != 0:
        pytest.skip("nobody else may run this Python")
    text = f"""{IMPORTS}
def bind():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", 1))
            print("bound")
        except PermissionError:
            print("refused")
bind()
renounce()
verify(current())
bind()
"""
    assert said(text, prefix=prefix) == ["bound", "refused"]
