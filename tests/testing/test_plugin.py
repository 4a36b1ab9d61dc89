"""The pytest plugin, as runs of pytest see it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

import pytest

import snowowl

pytest_plugins = ["pytester"]

pytestmark = pytest.mark.real

FETCH = """
    from tests.real.harness import RefusedError, fetch, store
    import pytest

    def get(server, name):
        try:
            return fetch((server.host, server.port), name)
        except RefusedError as error:
            return error
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    import_module("snowowl.testing.testserver")  # an inner run forgets what it was first to import
    return Run(pytester)


class Run:
    """Runs pytest on a module, strictly, with the plugin by its module, installed or not."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def __call__(self, source: str, *arguments: str) -> pytest.RunResult:
        self._pytester.makepyfile(FETCH + source)
        words = ["-p", "no:snowowl", "-p", "snowowl.testing.plugin", "-W", "error"]
        return self._pytester.runpytest_inprocess(
            *words, "--strict-markers", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments
        )


def test_files_are_served_and_asserted(run: Run) -> None:
    result = run(
        """
    @pytest.mark.snowowl_server({"uImage": b"kernel"}, writable=True)
    def test_by_marker(snowowl_server):
        assert get(snowowl_server, b"uImage") == b"kernel"
        assert snowowl_server.wait_for("uImage").complete
        store((snowowl_server.host, snowowl_server.port), b"log", b"text")
        assert snowowl_server.wait_for_upload("log") == b"text"

    def test_by_hand(snowowl_server):
        assert snowowl_server.requested == []
        snowowl_server.files["uImage"] = b"kernel"
        assert get(snowowl_server, b"uImage") == b"kernel"
        snowowl_server.assert_not_requested("recovery*")
    """
    )
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*snowowl server*")


def test_a_failure_shows_what_the_servers_had_to_say_in_its_time(run: Run) -> None:
    result = run(
        """
    def test_before(session_snowowl_server_factory, snowowl_server_factory):
        session = session_snowowl_server_factory({"shared": b"x"})
        assert get(session, b"shared") == b"x"
        session.wait_until_quiet(0.05)
        assert get(snowowl_server_factory({"gone": b"x"}), b"gone") == b"x"

    def test_that_fails(snowowl_server):
        get(snowowl_server, b"uimage")
        snowowl_server.wait_for("uImage", timeout=0.01)
    """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * AssertionError: uImage was not fetched completely within 0.01 s.",
            "E * Is it another name for uimage?",
            "*snowowl server 127.0.0.1:*",
            "*RRQ from 127.0.0.1:* filename uimage: refused (file not found)*",
        ]
    )
    text = result.stdout.str()
    assert "filename shared" not in text
    assert "filename gone" not in text
    assert "snowowl/testing/testserver" not in text, "the failure is shown where the test is"


def test_servers_of_a_block_are_shown_too(run: Run) -> None:
    result = run(
        """
    from snowowl.testing import serving

    def test_that_fails():
        with serving({"x": b"y"}) as server:
            get(server, b"x")
            server.assert_not_requested("x")
    """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*snowowl server 127.0.0.1:*", "*filename x*"])


def test_other_failures_show_nothing(run: Run) -> None:
    result = run("    def test_that_fails(): assert False")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*snowowl server*")


def test_tasks_of_trio_wait_without_holding_up_others(run: Run) -> None:
    result = run(
        """
    import snowowl, trio

    @pytest.mark.trio
    async def test_async(snowowl_server, nursery):
        snowowl_server.files["uImage"] = b"kernel"
        nursery.start_soon(snowowl.get, snowowl_server.url("uImage"))
        assert (await snowowl_server.trio.wait_for("uImage", timeout=30)).octets == 6

    @pytest.mark.trio
    async def test_async_that_fails(snowowl_server, autojump_clock):
        await snowowl_server.trio.wait_for("uImage", timeout=0.01)
    """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*uImage was not fetched completely within 0.01 s."])
    result.stdout.no_fnmatch_line("*to_thread*")


def test_factories_make_servers_for_a_test_and_for_the_session(run: Run) -> None:
    result = run(
        """
    import threading

    @pytest.fixture(scope="session")
    def lab(session_snowowl_server_factory):
        return session_snowowl_server_factory({"x": b"lab"}, tid="listen")

    @pytest.mark.parametrize("turn", [1, 2])
    def test_several(snowowl_server_factory, lab, turn):
        lab.clear()
        first = snowowl_server_factory({"x": b"1"}, listen="127.0.0.2:0")
        second = snowowl_server_factory({"x": b"2"})
        assert first.host == "127.0.0.2"
        assert [get(server, b"x") for server in (first, second, lab)] == [b"1", b"2", b"lab"]
        assert lab.requested == ["x"]
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("snowowl server") == 3
    """
    )
    result.assert_outcomes(passed=2)


def test_a_server_that_crashes_fails_the_test_with_its_cause(run: Run) -> None:
    result = run(
        """
    def test_crash(snowowl_server, monkeypatch):
        from snowowl.content.store import Store
        def crash(*_, **__):
            raise KeyboardInterrupt("planted")
        monkeypatch.setattr(Store, "open_now", crash)
        import socket
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(bytes([0, 1]) + b"x" + bytes(1) + b"octet" + bytes(1),
                        (snowowl_server.host, snowowl_server.port))
            snowowl_server._thread.join(10)

    def test_after(snowowl_server):
        snowowl_server.assert_not_requested()
    """
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*KeyboardInterrupt*planted*", "*ServerFailedError: the server*"])


def test_a_server_that_cannot_start_says_what_to_do(run: Run) -> None:
    result = run(
        """
    @pytest.mark.snowowl_server(listen="203.0.113.1:0")
    def test_start(snowowl_server): ...

    @pytest.mark.snowowl_server(listn="127.0.0.1:0")
    def test_misspelt(snowowl_server): ...
    """
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*ListenError: *no interface of this machine has this address*"])
    result.stdout.fnmatch_lines(["*TypeError: *unexpected keyword argument 'listn'*"])
    result.stdout.no_fnmatch_line("*testserver/server.py*")  # no stack of ours


def test_playbooks_must_have_an_end(run: Run) -> None:
    result = run(
        """
    from snowowl.protocol.negotiation import Policy
    from snowowl.protocol.read import ReadTransfer
    from snowowl.testing.playbook import ack, blocks
    from snowowl.wire.packets import ReadRequest

    def story(begin):
        return begin(ReadTransfer(ReadRequest(b"f"), Policy(), 9)).starts().sends(blocks(1, 1))

    def test_told(snowowl_playbook): story(snowowl_playbook).done()
    def test_open(snowowl_playbook): story(snowowl_playbook)
    def test_that_fails(snowowl_playbook): story(snowowl_playbook).receives(ack(1)).sends(blocks(2, 1)).done()
    def test_told_again(snowowl_playbook): story(snowowl_playbook).done()
    """
    )
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*stories without done()*"])


@pytest.mark.slow
def test_runs_may_be_shared_among_processes(run: Run, pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
    import pytest

    @pytest.mark.parametrize("turn", [1, 2])
    def test_that_fails(snowowl_server, turn):
        snowowl_server.wait_for("x", timeout=0.01)
    """
    )
    words = ["-p", "no:snowowl", "-p", "snowowl.testing.plugin", "-p", "no:cacheprovider"]
    result = pytester.runpytest_inprocess(*words, "-p", "xdist", "-n", "1", "-W", "error")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*snowowl server 127.0.0.1:*"])


def test_the_plugin_is_installed_with_the_package() -> None:
    """Where this fails, the package was installed before it had a plugin: install it anew."""
    (point,) = entry_points(group="pytest11", name="snowowl")
    assert point.value == "snowowl.testing.plugin"


def test_to_load_the_plugin_imports_nothing_that_is_not_used() -> None:
    """It is loaded by every run of pytest where snowowl is installed."""
    program = """
import sys, pytest
before = set(sys.modules)
import snowowl.testing.plugin
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["snowowl", "snowowl.testing", "snowowl.testing.plugin"]


def test_programs_that_import_snowowl_and_then_run_pytest_get_no_warning() -> None:
    """Where it is installed from a wheel, pytest marks all of it for rewriting, and would warn."""
    assert "PYTEST_DONT_REWRITE" in (snowowl.__doc__ or "")
