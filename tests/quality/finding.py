"""How a check is run against a planted bug, and how many examples it takes until it finds something.

An example is what the check draws: a story of Hypothesis, one combination of fates, one simulated
world, one case of a parametrized test.
"""

from __future__ import annotations

import inspect
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol, cast

import attrs
import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning
from trio.testing import MockClock


class Enough(BaseException):
    """As many examples as wanted were run, and nothing was found.  Not for the code under test."""


@attrs.define
class Tally:
    """Counts examples, and ends the run after the last that is wanted."""

    wanted: int
    count: int = 0
    over: bool = False

    def next(self) -> None:
        """Count an example that is about to run.  Raises Enough."""
        if self.count == self.wanted:
            self.over = True
            raise Enough
        self.count += 1


class Check(Protocol):
    """Runs examples until one of them fails, by raising, or the tally says that it is enough."""

    def __call__(self, tally: Tally) -> None: ...


def examples_until_found(
    check: Check, wanted: int, raises: tuple[type[BaseException], ...]
) -> int | None:
    """Return how many examples a check took to find something; None if it did not.

    What is raised must be, or hold, one of these: anything else is no find but a mistake in the
    bug that was planted, and is raised.
    """
    tally = Tally(wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)  # of the length of what it found
            check(tally)
    except Enough:
        return None
    except Exception as error:
        if tally.over:  # Hypothesis may make something else of it
            return None
        if not any(isinstance(leaf, raises) for leaf in leaves(error)):
            raise
        return tally.count
    return None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, or those in a group, and what they came from."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def quick(examples: int) -> settings:
    """Return settings for a failure that is wanted: the same each time, neither shrunk nor told."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


class _Case(Protocol):
    """A test, to be called with its fixtures and what is drawn for it."""

    def __call__(self, **arguments: object) -> object: ...


class _Property(Protocol):
    """What Hypothesis makes of a test."""

    hypothesis: _Handle


class _Handle(Protocol):
    inner_test: _Case
    _given_kwargs: Mapping[str, st.SearchStrategy[object]]


def property_check(test: object, **arguments: object) -> Check:
    """Return a check that runs a test of the suite which has `@given`, with these fixtures."""
    handle = cast(_Property, test).hypothesis
    inner, strategies = handle.inner_test, handle._given_kwargs

    def check(tally: Tally) -> None:
        def counted(**drawn: object) -> None:
            tally.next()
            with _provided(inner, arguments) as provided:
                inner(**{**provided, **drawn})

        counted.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in strategies]
        )
        quick(tally.wanted)(given(**strategies)(counted))()

    return check


def case_check(*cases: object, **arguments: object) -> Check:
    """Return a check that runs tests of the suite, each an example, with the fixtures they ask for."""

    def check(tally: Tally) -> None:
        for each in cases:
            tally.next()
            case = cast(_Case, each)
            with _provided(case, arguments) as provided:
                if inspect.iscoroutinefunction(each):
                    run_async(partial(each, **provided))
                else:
                    case(**provided)

    return check


def run_async(function: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a clock that jumps."""
    trio.run(function, clock=MockClock(autojump_threshold=0))


@contextmanager
def _provided(case: _Case, given: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Give a test the fixtures that it asks for."""
    wanted = inspect.signature(case).parameters
    provided = {name: value for name, value in given.items() if name in wanted}
    with ExitStack() as stack:
        if "tmp_path" in wanted and "tmp_path" not in provided:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            provided["tmp_path"] = Path(folder)
        if "monkeypatch" in wanted and "monkeypatch" not in provided:
            provided["monkeypatch"] = stack.enter_context(pytest.MonkeyPatch.context())
        yield provided


CHECKS: Final[dict[str, Check]] = {}
"""Every check, by the name under which bugs ask for it."""
