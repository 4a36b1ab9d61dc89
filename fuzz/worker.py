"""One process of an engine with one target: `python -m fuzz.worker ENGINE TARGET ...`.

Started by `fuzz/run.py`, which reads what the watch leaves in the folder that the environment names.
A finding ends it, as the rest of its time would go into the same one.  HypoFuzz has processes of its
own; see `fuzz.engines`.
"""

from __future__ import annotations

import argparse
import functools
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:  # what is fuzzed is imported by the engines, which instrument it
    from fuzz.seeds import Seed
    from fuzz.targets import OneInput, Target

CHUNK: Final = 200
"""Examples in one run of Hypothesis, which nothing can stop: less than a minute of any target."""

CHUNK_SECONDS: Final = 5.0
STEPS: Final = 40
"""Calls of a machine, at most."""

INPUT_MAX: Final = 8192
"""Octets of an input of atheris: what Hypothesis makes its choices from."""

BEGINNINGS: Final = 300
"""Inputs that atheris begins with, at most."""

EXIT_FINDINGS: Final = 1


def chosen(examples: int = CHUNK) -> settings:
    """Return the settings of a run: no database, as findings are kept as seeds."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def by_hypothesis(name: str, seconds: float, examples: int, seed: int) -> int:
    """Run the corpus, then Hypothesis with one seed after another; return the exit status."""
    from fuzz.plays import WATCH
    from fuzz.targets import TARGETS, replay_corpus

    target = TARGETS[name]
    end = time.monotonic() + seconds
    try:
        replay_corpus(name)
        done = 0
        chunk = min(20, examples)
        while done < examples and time.monotonic() < end:
            begun = time.monotonic()
            chunk = min(chunk, examples - done)
            target.fuzz(chosen(chunk), seed)
            done, seed = done + chunk, seed + 1
            left = min(CHUNK_SECONDS, end - time.monotonic())
            rate = chunk / max(time.monotonic() - begun, 1e-6)
            chunk = max(5, min(CHUNK, int(rate * left)))
    except Exception:
        if not WATCH.findings:  # then it is the engine that is broken
            raise
        return EXIT_FINDINGS
    finally:
        WATCH.save()
    return 0


def by_atheris(name: str, seconds: float, examples: int, seed: int) -> int:
    """Run libFuzzer, which ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=["snowowl"]):
        from fuzz.targets import TARGETS, replay_corpus
    replay_corpus(name)
    one_input = TARGETS[name].one_input(chosen())
    with tempfile.TemporaryDirectory(prefix="snowowl-fuzz-") as folder:
        _begin(Path(folder), one_input, seed)
        words = [
            "fuzz",
            f"-max_total_time={max(1, round(seconds))}",
            f"-runs={examples}",
            f"-seed={seed % 2**32 or 1}",
            f"-max_len={INPUT_MAX}",
            "-len_control=0",
            f"-artifact_prefix={folder}/",
            folder,
        ]

        atheris.Setup(words, one_input)
        atheris.Fuzz()
    return 0


def _begin(folder: Path, one_input: OneInput, seed: int) -> None:
    """Leave inputs for libFuzzer to begin with, among them such that draw the seeds of the corpus.

    An input is what Hypothesis makes its choices from, and no seed can be turned into one.  But half of
    the choices of each target are seeds of its corpus: random inputs find them all soon.
    """
    draws = random.Random(seed)
    end = time.monotonic() + CHUNK_SECONDS
    for number in range(BEGINNINGS):
        used = one_input(draws.randbytes(draws.choice((64, 256, 1024, 4096))))
        if used:
            (folder / f"{number:04}").write_bytes(used)
        if time.monotonic() > end:
            break


def simplify(name: str, path: Path, seconds: float) -> int:
    """Look for a simpler seed of a finding: the watch keeps every one that is."""
    from fuzz.corpus import read
    from fuzz.reduce import reduced
    from fuzz.targets import TARGETS

    target = TARGETS[name]
    for seed in read(path, name):
        reason = target.reason(seed)
        if reason is not None:
            reduced(seed, functools.partial(_fails_so, target, reason), seconds)
    return EXIT_FINDINGS


def _fails_so(target: Target, reason: str, seed: Seed) -> bool:
    return target.reason(seed) == reason


ENGINES: Final = {"hypothesis": by_hypothesis, "atheris": by_atheris}


def main() -> None:
    """Run one target by one engine."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.worker")
    parser.add_argument("engine", choices=[*ENGINES, "simplify"])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--examples", type=int, default=CHUNK)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path)
    given = parser.parse_args()
    if given.file is not None:
        sys.exit(simplify(given.target, given.file, given.seconds))
    engine = ENGINES[given.engine]
    sys.exit(engine(given.target, given.seconds, given.examples, given.seed))


if __name__ == "__main__":
    main()
