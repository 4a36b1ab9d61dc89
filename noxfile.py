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

INSTALLED = """
from importlib.metadata import distributions
for found in sorted(distributions(), key=lambda each: each.name.lower()):
    if found.name not in ("snowowl", "pip"):
        print(f"{found.name}=={found.version}")
"""
"""Says what is installed beside the project itself, pinned."""


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


@nox.session(default=False)
def security(session: nox.Session) -> None:
    """Look for what attackers like, with ruff and bandit, and list every exception with its reason."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint", "security"))
    # S101: see pyproject.toml.  The words of the command line go before that.
    session.run("ruff", "check", "--select", "S", "--ignore", "S101", "snowowl", "examples")
    session.run("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", "snowowl")
    session.run("python", "tests/whole_repo/exceptions.py")


@nox.session(default=False, reuse_venv=False)
def audit_deps(session: nox.Session) -> None:
    """Look up known vulnerabilities of all that an installation brings; no answer is a failure."""
    session.install(".")
    installed = session.run("python", "-c", INSTALLED, silent=True)
    pins = Path(session.create_tmp()).resolve() / "installed.txt"
    pins.write_text(str(installed), encoding="utf-8")
    session.install(*nox.project.dependency_groups(PYPROJECT, "security"))
    # Without --strict, a package that the service does not tell of would count as one without faults.
    strict = ["--strict", "--progress-spinner", "off", "--no-deps", "--disable-pip"]
    session.run("pip-audit", *strict, "--requirement", str(pins), *session.posargs)


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


@nox.session(default=False)
def percov_all(session: nox.Session) -> None:
    """Check the same for all rings, against limits that only go down."""
    install(session)
    session.run("python", "tests/whole_repo/percov.py", "--all", *session.posargs)


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
    shutil.copytree("fuzz", away / "fuzz")
    for name in ("pyproject.toml", "README.md", "noxfile.py"):
        shutil.copy(name, away)
    session.chdir(away)
    tests = ["-n", "auto", "--ignore=tests/whole_repo", "--ignore=tests/quality"]
    session.run("python", "-m", "pytest", *tests, *session.posargs)


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
    parts = ("datagram", "server", "client", "real", "conformance", "fuzzing", "faults")
    folders = [f"tests/{name}" for name in parts]
    session.run("python", "-m", "pytest", "-n", "auto", "--rung", rung, *folders, *session.posargs)


@nox.session(default=False)
def netboot(session: nox.Session) -> None:
    """Boot iPXE, PXELINUX, EDK2, GRUB and U-Boot in QEMU from the server (root, Debian's QEMU)."""
    install(session)
    session.run("python", "-m", "pytest", "-m", "netboot", "tests/netboot", *session.posargs)


@nox.session(default=False)
def container(session: nox.Session) -> None:
    """Build the Containerfile and run the image (root; buildah and mmdebstrap of Debian)."""
    install(session)
    patient = ["-o", "faulthandler_timeout=0"]  # a base image takes minutes
    session.run(
        "python", "-m", "pytest", "-m", "container", *patient, "tests/deploy", *session.posargs
    )


@nox.session(default=False)
def sim(session: nox.Session) -> None:
    """Run the server in simulated worlds by fresh seeds, 10 minutes: nox -s sim -- --seed 7."""
    install(session)
    session.run("python", "-m", "tests.sim.run", *(session.posargs or ["--seconds", "600"]))


@nox.session(default=False)
def lab(session: nox.Session) -> None:
    """Simulate 24 hours of a lab with 300 boards, three seeds, some minutes."""
    install(session)
    day = ["--hours", "24", "--boards", "300", "--seed", "1", "--seeds", "3"]
    session.run("python", "-m", "tests.sim.lab", *(session.posargs or day))


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzz snowowl's parts, a minute each: nox -s fuzz -- --engine atheris -t decode --seconds 600."""
    install(session, "fuzz")
    session.run("python", "fuzz/run.py", *(session.posargs or ["--seconds", "60"]))


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Feed ten million datagrams to the core, a million to running servers, and watch for growth."""
    install(session)
    session.run("python", "fuzz/soak.py", "core", "--jobs", "2")
    session.run("python", "fuzz/soak.py", "server")


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Change every expression of wire and protocol; the tests must notice all but a shrinking list."""
    install(session, "mutants")
    session.run("python", "tests/quality/mutants.py", *session.posargs)


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """Try other servers and snowowl clause by clause, 10 minutes, best as root."""
    install(session)
    session.run("python", "-m", "tests.conformance.peers", *session.posargs)


@nox.session(default=False)
def fuzz_peers(session: nox.Session) -> None:
    """Fuzz other servers, and snowowl in every way, 25 minutes: nox -s fuzz_peers -- --only tftpy."""
    install(session)
    session.run("python", "-m", "tests.fuzzing.peers", *session.posargs)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Play every fault to the TFTP clients of Debian and PyPI, and to ours; some minutes."""
    install(session)
    session.run("python", "-m", "tests.faults.clients", *session.posargs)


@nox.session(default=False)
def differential(session: nox.Session) -> None:
    """Compare with tftpd-hpa, atftpd and dnsmasq, request by request; every difference is explained."""
    install(session)
    session.run("python", "-m", "tests.differential.run", *session.posargs)


@nox.session(default=False)
def thirdparty(session: nox.Session) -> None:
    """Let clients of PyPI, npm and Debian fetch and store, in every way to choose TIDs."""
    install(session)
    session.run("python", "-m", "tests.thirdparty.run", *session.posargs)


@nox.session(default=False)
def attacks(session: nox.Session) -> None:
    """Attack a running server while boards boot: nox -s attacks -- --where namespaces."""
    install(session)
    session.run("python", "-m", "tests.attacks.run", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure beside other TFTP servers, 25 minutes, best as root: nox -s bench -- --quick."""
    session.install("-e", ".")
    session.run("python", "tests/bench/run.py", *session.posargs)


if __name__ == "__main__":
    nox.main()
