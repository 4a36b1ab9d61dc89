"""The pytest plugin: fixtures that serve files by TFTP and tell what was asked for.

It is loaded by every run of pytest where snowowl is installed: nothing of snowowl may be imported
here before a fixture is used.  All that it does is `snowowl.testing.serving`'s; here are only the
fixtures and the report.

| fixture | what |
|---|---|
| `snowowl_server` | a `Server`, for one test; `@pytest.mark.snowowl_server(files, writable=True)` gives it files and settings |
| `snowowl_server_factory` | makes servers for one test: ``snowowl_server_factory(files, listen="192.0.2.1:69")`` |
| `session_snowowl_server_factory` | makes servers that live to the end of the run, for fixtures of a wider scope |
| `snowowl_playbook` | makes `snowowl.testing.playbook.Playbook`s, and fails if one does not end in `done` |

When a test fails, its report has a section with the log of each server that ran meanwhile.

PYTEST_DONT_REWRITE: nothing is asserted here, and pytest would warn where this is imported first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from snowowl.protocol.transfer import Transfer
    from snowowl.testing.playbook import Playbook
    from snowowl.testing.testserver import Server, ServerFactory

_MARKER = (
    "snowowl_server(files, *, root, listen, tid, writable, loss, seed, config): what the fixture"
    " snowowl_server serves, and how; as in snowowl.testing.serving"
)
_BEGAN = pytest.StashKey[float]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when a test begins: what a server said before is not its affair."""
    item.stash[_BEGAN] = time.monotonic()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of servers to the report of a failure."""
    report = yield
    testserver = sys.modules.get("snowowl.testing.testserver")
    if report.failed:
        item.stash[_FAILED] = True
    if report.failed and testserver is not None:
        report.sections.extend(testserver.told_since(item.stash.get(_BEGAN, 0.0)))
    return report


@pytest.fixture
def snowowl_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve files by TFTP on a free port of loopback, and tell what was asked for.

    Set files by ``snowowl_server.files["uImage"] = b"..."``, or by the marker `snowowl_server`.
    """
    from snowowl.config import ConfigError
    from snowowl.server.errors import ListenError, RootError
    from snowowl.testing.testserver import serving

    marker = request.node.get_closest_marker("snowowl_server")
    with ExitStack() as stack:
        try:
            made = serving(*marker.args, **marker.kwargs) if marker else serving()
            server = stack.enter_context(made)
        except (ConfigError, ListenError, RootError, TypeError, ValueError, OSError) as error:
            # Mistakes of the test's: what to do is in the words, not in our stack.
            pytest.fail(f"snowowl_server: {type(error).__name__}: {error}", pytrace=False)
        yield server


@pytest.fixture
def snowowl_server_factory() -> Iterator[ServerFactory]:
    """Return what makes and starts TFTP servers as `snowowl.testing.serving` does, for one test."""
    yield from _factory()


@pytest.fixture(scope="session")
def session_snowowl_server_factory() -> Iterator[ServerFactory]:
    """Return what makes TFTP servers that run to the end of the session; see `Server.clear`."""
    yield from _factory()


def _factory() -> Iterator[ServerFactory]:
    from snowowl.testing.testserver import ServerFactory

    with ExitStack() as stack:
        yield ServerFactory(stack)


@pytest.fixture
def snowowl_playbook(request: pytest.FixtureRequest) -> Iterator[Callable[[Transfer], Playbook]]:
    """Return what begins a story about a transfer; each must end in `done`, unless the test fails."""
    from snowowl.testing.playbook import UNFINISHED, Playbook, all_told

    with all_told():
        yield Playbook
        if request.node.stash.get(_FAILED, False):  # where a story fails it has no end
            UNFINISHED.clear()
