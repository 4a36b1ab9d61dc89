"""What all tests share: Hypothesis profiles, chosen by HYPOTHESIS_PROFILE.  Nothing of one part."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings

ROOT = Path(__file__).parents[1]

# `pytest` does not put the working directory on the path, `python -m pytest` does; the helper modules
# (tests.model, tests.rungs) are to be found either way.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests import rungs  # noqa: E402 - as said above

settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile(
    "ci",
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly",
    max_examples=5000,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "mutants",  # a failure is wanted, and need be neither small nor explained
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "debug",
    max_examples=10,
    deadline=None,
    verbosity=Verbosity.verbose,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rung`: the way to the kernel that tests take which say nothing of it."""
    parser.addoption("--rung", choices=list(rungs.WAYS), help="the way to the kernel for all tests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Say what `-n auto` means: one more than there are CPUs, as tests of real sockets often wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def keeps_its_privileges() -> Iterator[None]:
    """See that no test which runs the server in this process gives up for good what others need."""
    with pytest.MonkeyPatch.context() as patch:
        for call in ("privileges.become", "privileges.renounce", "privileges.verify"):
            patch.setattr(f"snowowl.host.{call}", _do_nothing)
        patch.setattr("snowowl.host.privileges.set_no_new_privileges", _do_nothing)
        patch.setattr("snowowl.server.confinement.restrict", _refuse)
        yield


def _do_nothing(*_: object) -> None:
    pass


def _refuse(*_: object, **__: object) -> None:
    from snowowl.host.landlock import LandlockError

    raise LandlockError("this is a test")


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis compare octets with numbers under `python -bb`: its cache of choices does."""
    config.addinivalue_line("filterwarnings", r"ignore::BytesWarning:hypothesis\..*")
    if config.getoption("--rung"):
        rungs.force(config.getoption("--rung"))
