"""Every check that a contributor or CI runs.  `nox -l` lists them; `nox` runs the defaults."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

PYPROJECT = nox.project.load_toml("pyproject.toml")
NAMED = [
    *PYPROJECT["project"]["dependencies"],
    *PYPROJECT["project"]["optional-dependencies"]["test"],
]
PYTHONS = ["3.11", "3.12", "3.13"]
RUNGS = ["portable", "mmsg", "gso", "gso-one-by-one", "gso-sendfile", "gso-zerocopy"]
"""Those of tests/rungs.py."""


def install(session: nox.Session, *groups: str) -> None:
    """Install the project, editable, and dependency groups (PEP 735)."""
    session.install("-e", ".[test]", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests (real clients from Debian take part where they are installed)."""
    install(session)
    session.run("python", "-bb", "-X", "dev", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session, "types")
    session.run("mypy")


@nox.session
def percov(session: nox.Session) -> None:
    """Check that each module of wire and protocol is covered by its own test module, 100 %."""
    install(session)
    session.run("python", "tests/whole_repo/percov.py")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and run the tests against it, away from the source tree."""
    session.install("build", "hatchling")
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    (built,) = folder.glob("*.whl")
    session.install("--force-reinstall", f"{built}[test]")
    away = folder / "away"
    shutil.copytree("tests", away / "tests")
    shutil.copytree("examples", away / "examples")
    for name in ("pyproject.toml", "README.md", "noxfile.py"):
        shutil.copy(name, away)
    session.chdir(away)
    session.run("python", "-m", "pytest", "--ignore=tests/whole_repo", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions of all that we depend on directly."""
    install(session)
    session.install(*[re.sub(r">=([\d.]+).*", r"==\1", text) for text in NAMED])
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS[-1])
def highest(session: nox.Session) -> None:
    """Run the tests with the newest versions of all that we depend on, indirectly too."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]", *NAMED)
    session.run("python", "-m", "pytest", "-n", "auto", *session.posargs)


@nox.session(default=False)
@nox.parametrize("profile", ["dev", "ci", "nightly"])
def profiles(session: nox.Session, profile: str) -> None:
    """Run the property tests with one of Hypothesis' profiles: quick, repeatable, thorough (hours)."""
    install(session)
    session.env["HYPOTHESIS_PROFILE"] = profile
    hours = ["-o", "faulthandler_timeout=0", "--timeout", "14400"] if profile == "nightly" else []
    marked = ["-n", "auto", "-m", "hypothesis and not slow and not netboot"]
    session.run("python", "-m", "pytest", *marked, *hours, *session.posargs)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Run the tests that take minutes: load, long exhaustive scopes."""
    install(session)
    session.run("python", "-m", "pytest", "-m", "slow and not netboot", *session.posargs)


@nox.session(default=False)
@nox.parametrize("rung", RUNGS)
def rungs(session: nox.Session, rung: str) -> None:
    """Run the tests of sockets, servers and clients on one way to the kernel (Linux)."""
    install(session)
    folders = [f"tests/{name}" for name in ("datagram", "server", "client", "real", "conformance")]
    session.run("python", "-m", "pytest", "-n", "auto", "--rung", rung, *folders, *session.posargs)


@nox.session(default=False)
def netboot(session: nox.Session) -> None:
    """Boot iPXE, PXELINUX, EDK2, GRUB and U-Boot in QEMU from the server (root, Debian's QEMU)."""
    install(session)
    session.run("python", "-m", "pytest", "-m", "netboot", "tests/netboot", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure beside other TFTP servers, 25 minutes, best as root: nox -s bench -- --quick."""
    session.install("-e", ".")
    session.run("python", "tests/bench/run.py", *session.posargs)


if __name__ == "__main__":
    nox.main()
