"""The Containerfile, built and run: `nox -s container` (root, buildah, mmdebstrap; some minutes).

Debian's packages make the base image, so that no registry of images is needed; the packages of
Python are fetched here and handed in.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "examples" / "deploy" / "container" / "Containerfile"
SUITE = "bookworm"
PYTHON = "3.11"
"""Of that suite."""
BASE, IMAGE = "localhost/snowowl-base", "localhost/snowowl"
SECONDS = 600
CONTENT = os.urandom(200_000)

pytestmark = [
    pytest.mark.container,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root"),
    *(
        pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}")
        for tool in ("buildah", "mmdebstrap")
    ),
]


@attrs.frozen
class Buildah:
    """Buildah with a storage of its own, and without a daemon, a kernel's overlay or a user."""

    storage: Path

    def command(self, *words: str | Path) -> list[str]:
        places = ("--root", self.storage / "root", "--runroot", self.storage / "run")
        return ["buildah", *map(str, (*places, *words))]

    def __call__(self, *words: str | Path) -> str:
        done = subprocess.run(
            self.command(*words),
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            cwd=ROOT,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def remove(self) -> None:
        """Remove all containers and images: their files may be mounted."""
        for words in (("rm", "--all"), ("rmi", "--all", "--force")):
            subprocess.run(
                self.command(*words), env=self.environ, capture_output=True, check=False, timeout=60
            )


def attempt(*words: str | Path) -> None:
    """Run what needs the network; skip if it cannot be had."""
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode:
        pytest.skip(f"{words[0]} cannot: {done.stderr.strip()[-300:]}")


def python_with_pip() -> str:
    for python in (sys.executable, "python3", "/usr/bin/python3"):
        asked = [python, "-m", "pip", "--version"]
        if (
            shutil.which(python)
            and subprocess.run(asked, check=False, capture_output=True).returncode == 0
        ):
            return python
    pytest.skip("needs a Python that has pip")


def packages() -> list[str]:
    """Return what pip needs to build and install the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["build-system"]["requires"], *project["project"]["dependencies"]]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """Give a buildah that has the image."""
    folder = tmp_path_factory.mktemp("container")
    made = Buildah(folder)
    wheels, base = folder / "wheels", folder / "base.tar"
    only = ("--only-binary=:all:", "--python-version", PYTHON)
    attempt(python_with_pip(), "-m", "pip", "download", "-q", *only, "-d", wheels, *packages())
    include = "--include=python3-minimal,python3-venv"
    attempt("mmdebstrap", "--variant=minbase", include, SUITE, base)
    try:
        container = made("from", "scratch")
        made("add", container, base, "/")
        made("commit", "-q", container, BASE)
        base.unlink()
        made(
            *("build", "--format", "docker", "-t", IMAGE, "-f", CONTAINERFILE),
            *("--build-arg", f"BASE={BASE}"),
            *("--build-arg", "PIP_ARGS=--no-index --find-links /wheels"),
            *("--volume", f"{wheels}:/wheels:ro", "."),
        )
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def config(buildah: Buildah) -> dict[str, object]:
    """Give the configuration of the image."""
    inspected = json.loads(buildah("inspect", "--type", "image", IMAGE))
    found: dict[str, object] = inspected["Docker"]["config"]
    return found


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    root.mkdir(mode=0o755)
    (root / "file").write_bytes(CONTENT)
    return root


@contextmanager
def running(buildah: Buildah, files: Path) -> Iterator[tuple[str, int, subprocess.Popen[str]]]:
    """Run the image's server on a free port of loopback; give (container, port, process)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    container = buildah("from", IMAGE)
    words = ("snowowl", "serve", "--single-port", "--listen", f"127.0.0.1:{port}", "/srv/tftp")
    process = subprocess.Popen(
        buildah.command("run", "-v", f"{files}:/srv/tftp:ro", container, "--", *words),
        env=buildah.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield container, port, process
    finally:
        if (server := server_process(port)) is not None:
            os.kill(server, signal.SIGKILL)
        process.communicate(timeout=60)
        buildah("rm", container)


def server_process(port: int) -> int | None:
    """Return the process of the server inside: buildah hands no signal on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"python" in words[0] and f"127.0.0.1:{port}".encode() in words:
                return int(entry.name)
    return None


def check(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snowowl", "check", *words]
    url = f"tftp://127.0.0.1:{port}/file"
    return subprocess.run(
        [*command, url], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )


def wait_for(port: int) -> None:
    for _ in range(100):
        if check(port, "-q", "-t", "1").returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("the server in the container does not answer")


def test_what_the_image_says_of_itself(config: dict[str, object]) -> None:
    assert config["User"] == "65532:65532"
    assert config["ExposedPorts"] == {"69/udp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["snowowl"]
    assert config["Cmd"] == ["serve", "--single-port", "--log-format", "logfmt", "/srv/tftp"]
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.title"] == "snowowl"
    environ = config["Env"]
    assert isinstance(environ, list)
    assert not any(text.startswith("SNOWOWL_") for text in environ)  # it would beat a file's keys


def test_it_serves_as_no_root_and_ends_when_it_is_told(
    buildah: Buildah, config: dict[str, object], files: Path
) -> None:
    health = config["Healthcheck"]
    assert isinstance(health, dict)
    kind, script = health["Test"]
    assert kind == "CMD-SHELL"
    with running(buildah, files) as (container, port, process):
        wait_for(port)
        assert check(port, "--size", str(len(CONTENT))).returncode == 0
        server = server_process(port)
        assert server is not None
        status = Path(f"/proc/{server}/status").read_text(encoding="utf-8")
        assert "Uid:\t65532\t65532\t65532\t65532" in status
        # The health check that the image has, word for word.
        listen = ("-e", f"SNOWOWL_LISTEN=127.0.0.1:{port}")
        buildah("run", *listen, container, "--", "sh", "-c", script)
        os.kill(server, signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        words = buildah.command("run", *listen, container, "--", "sh", "-c", script)
        down = subprocess.run(
            words, env=buildah.environ, check=False, capture_output=True, timeout=60
        )
        assert down.returncode == 1
    assert "completed" in out


def test_doctor_and_manual_are_in_it(buildah: Buildah) -> None:
    container = buildah("from", IMAGE)
    try:
        words = ("snowowl", "doctor", "--single-port", "--listen", "127.0.0.1:0", "/srv/tftp")
        out = buildah("run", container, "--", *words)
        assert "replies: 127.0.0.1: every tid mode answers" in out
        found = buildah(
            "run", container, "--", "ls", "/opt/snowowl/share/man/man1", "/opt/snowowl/bin"
        )
        assert "snowowl-serve.1" in found
        assert "pip" not in found.split()
    finally:
        buildah("rm", container)
