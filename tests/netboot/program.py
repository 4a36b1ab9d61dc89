"""A child process with a console: every wait is bounded, and a wait that fails shows the last lines.

Rule: a `Program` that was started is ended by its process id and waited for, however its block is
left. Nothing of TFTP, QEMU or namespaces may be here: commands come in whole.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

# Firmware paints its console with CSI sequences, backspaces and carriage returns. Without them
# a pattern can name what a person would read.
_PAINT = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]|\x1b[^\[]|[\r\b\0]")
_PAINT_BEGUN = re.compile(r"\x1b(?:\[[0-9;=?]*)?\Z")
_LINES_SHOWN = 40
_STOP_SECONDS = 1.0


class ConsoleTimeoutError(AssertionError):
    """A program did not say in time what the trial waits for; the message ends in its last lines."""

    def __init__(self, program: Program, what: str) -> None:
        super().__init__(f"{program.name} {what}; its console ends:\n{program.tail()}")
        self.program = program


class Program:
    """One running command, its merged output read by a thread, its input open for `send`."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._text = ""
        self._begun = ""
        self._seen = 0
        self._ended = False
        self._grown = threading.Condition()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read, name=f"console of {name}", daemon=True)
        self._reader.start()

    def expect(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait until `pattern` (multi-line regular expression) is found after the last find.

        Raises ConsoleTimeoutError after `seconds`, or at once when the program has ended.
        """
        compiled = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + seconds
        with self._grown:
            while True:
                if found := compiled.search(self._text, self._seen):
                    self._seen = found.end()
                    return found
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0:
                    why = "ended" if self._ended else f"went {seconds:g} s"
                    raise ConsoleTimeoutError(self, f"{why} without {pattern!r}")
                self._grown.wait(remaining)

    def send(self, text: str) -> None:
        """Write `text` to the program's input, as if typed."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(text.encode("latin-1"))
        stdin.flush()

    @property
    def text(self) -> str:
        """Everything said so far, without paint."""
        with self._grown:
            return self._text

    def tail(self) -> str:
        """Return the last lines said, indented."""
        lines = self._text.splitlines()[-_LINES_SHOWN:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"

    def stop(self) -> None:
        """End the process by its id, wait for it, and close its pipes."""
        # snowowl drains at the first SIGTERM and stops at the second.
        for end in (self._process.terminate, self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                end()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
        self._process.wait()
        self._reader.join(_STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while chunk := stdout.read1():  # type: ignore[attr-defined]
            self._take(chunk.decode("latin-1"))
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def _take(self, painted: str) -> None:
        painted = self._begun + painted
        begun = _PAINT_BEGUN.search(painted)
        cut = begun.start() if begun else len(painted)
        self._begun = painted[cut:]
        with self._grown:
            self._text += _PAINT.sub("", painted[:cut])
            self._grown.notify_all()


@contextlib.contextmanager
def running(name: str, command: Sequence[str]) -> Iterator[Program]:
    """Run `command` for the length of the block; a failure in the block is shown its last lines."""
    program = Program(name, command)
    try:
        yield program
    except BaseException as problem:
        if not (isinstance(problem, ConsoleTimeoutError) and problem.program is program):
            problem.add_note(f"{name} said last:\n{program.tail()}")
        raise
    finally:
        program.stop()
