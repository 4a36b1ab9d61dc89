"""The targets: each a Hypothesis test, its invariant in one sentence, and the play that checks it.

Every engine runs the same plays on the same seeds: plain pytest and Hypothesis, HypoFuzz, which
collects this module as it is, and atheris through `fuzz_one_input`.  What a test does is in its play;
what it is given, in `fuzz.inputs` and in the rules of the machines here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    get_state_machine_test,
    initialize,
    rule,
    run_state_machine_as_test,
)

from fuzz import corpus, inputs
from fuzz.arrays import Arrays
from fuzz.client import Client
from fuzz.configs import Configs
from fuzz.machines import ReadPlay, WritePlay
from fuzz.names import Names
from fuzz.octets import Decoding, Logging, Negotiating, Netascii, Urls
from fuzz.plays import WATCH, Play, Run, reason_of
from fuzz.seeds import Arg, Seed, SeedError
from fuzz.segments import Segments
from fuzz.server import Server

Test = Callable[[Seed], None]
OneInput = Callable[[bytes], bytes | None]


@attrs.frozen
class Target:
    """Something that is fuzzed: by seeds that are drawn whole, or by a machine call by call."""

    name: str
    invariant: str
    play: type[Play]
    seeds: Callable[[], inputs.Seeds] | None = None
    machine: type[RuleBasedStateMachine] | None = None

    @property
    def path(self) -> str:
        """Where the play is: `module:Class`."""
        return f"{self.play.__module__}:{self.play.__name__}"

    @property
    def test_name(self) -> str:
        """What pytest calls the test in this module."""
        return f"test_{self.name}" if self.machine is None else _test_case(self.machine)

    def begin(self) -> Run:
        """Return a run without any call."""
        return Run(self.name, self.play, self.path, WATCH)

    def run(self, seed: Seed) -> None:
        """Make the calls of a seed.  Raises what the play raises; SeedError if a call is none."""
        run = self.begin()
        try:
            for step in seed:
                run.make(step)
        finally:
            run.close()

    def reason(self, seed: Seed) -> str | None:
        """Run a seed and return why it fails, None if it does not or is none."""
        try:
            self.run(seed)
        except SeedError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever a play raises is what is asked for
            return reason_of(error)
        return None

    def fuzz(self, chosen: settings, number: int | None = None) -> None:
        """Run the test by Hypothesis, with a seed.  Raises what a failing example raises."""
        if self.machine is not None:
            # Seeds are kept on the class: this one is for this run only.
            machine = type(self.machine.__name__, (self.machine,), {})
            if number is not None:
                seed(number)(machine)
            run_state_machine_as_test(machine, settings=chosen)
            return
        test = settings(chosen)(self._test())
        if number is not None:
            test = seed(number)(test)
        test()

    def one_input(self, chosen: settings) -> OneInput:
        """Return the function that gets an input of octets, and says which of them it has used."""
        if self.machine is not None:
            test = get_state_machine_test(self.machine, settings=chosen)
            return test.hypothesis.fuzz_one_input  # type: ignore[attr-defined,no-any-return]
        test = settings(chosen)(self._test())
        return test.hypothesis.fuzz_one_input  # type: ignore[attr-defined,no-any-return]

    def _test(self) -> Callable[[], None]:
        assert self.seeds is not None

        @given(self.seeds())
        def test(seed: Seed) -> None:
            self.run(seed)

        return test


TARGETS: Final[dict[str, Target]] = {}
"""By name, in the order of the rings."""


def _target(play: type[Play], seeds: Callable[[], inputs.Seeds]) -> Callable[[Test], Test]:
    """Make a function `test_NAME` a target; its docstring is the invariant."""

    def register(test: Test) -> Test:
        name = test.__name__.removeprefix("test_")
        TARGETS[name] = Target(name, _sentence(test.__doc__), play, seeds)
        return given(seeds())(test)

    return register


def _sentence(doc: str | None) -> str:
    return " ".join((doc or "").split())


@_target(Decoding, inputs.decodes)
def test_decode(seed: Seed) -> None:
    """Any octets are a packet that the codec keeps as it is, or `MalformedPacket`, and noise and
    stray packets get no answer."""
    TARGETS["decode"].run(seed)


@_target(Negotiating, inputs.negotiations)
def test_options(seed: Seed) -> None:
    """Whatever is asked for, only that is granted, in that order, never more of it, and in a form
    that our own client takes; whatever is granted, a client takes no more than it asked for."""
    TARGETS["options"].run(seed)


@_target(Netascii, inputs.netasciis)
def test_netascii(seed: Seed) -> None:
    """However octets are cut into pieces, netascii gives back what went in, and decodes any octets as
    RFC 764 read slowly does."""
    TARGETS["netascii"].run(seed)


@_target(Names, inputs.names)
def test_names(seed: Seed) -> None:
    """Whatever the name, nothing outside of the root is opened, by links neither, and openat2 and the
    walk open the same."""
    TARGETS["names"].run(seed)


@_target(Configs, inputs.configurations)
def test_config(seed: Seed) -> None:
    """Any text is a `Config` that is written and read back equal, or a list of problems, each one
    printable line that names a line of the text."""
    TARGETS["config"].run(seed)


class Machine(RuleBasedStateMachine):
    """Hypothesis plays the peer, the clock, the disk and the owner of one side of a transfer."""

    target = ""
    opcode = 0

    def __init__(self) -> None:
        super().__init__()
        self.run = TARGETS[self.target].begin()

    def do(self, name: str, *args: Arg) -> None:
        """Make a call."""
        self.run.do(name, *args)

    def go(self, calls: Seed) -> None:
        """Make calls."""
        for step in calls:
            self.run.make(step)

    @rule(datagram=inputs.any_datagrams())
    def receive(self, datagram: bytes) -> None:
        """Any datagram comes."""
        self.do("receive", datagram)

    @rule(octets=st.binary(max_size=100), stride=st.integers(0, 30))
    def receive_joined(self, octets: bytes, stride: int) -> None:
        """Any octets come, joined in any way."""
        self.do("receive_joined", octets, stride)

    @rule(ahead=inputs.aheads)
    def ack(self, ahead: int) -> None:
        """An ACK comes that may be meant."""
        self.do("ack", ahead)

    @rule(ahead=inputs.aheads, missing=inputs.missing)
    def data(self, ahead: int, missing: int) -> None:
        """DATA comes that may be meant."""
        self.do("data", ahead, missing)

    @rule(count=st.integers(1, 12), each=st.sampled_from(["ack", "data"]))
    def go_on(self, count: int, each: str) -> None:
        """The transfer goes on as it should."""
        for _ in range(count):
            if each == "ack":
                self.do("ack", self.window)
            else:
                self.do("data", 0, 0)

    @property
    def window(self) -> int:
        """How many blocks a whole window is."""
        play = self.run.play
        assert isinstance(play, ReadPlay | WritePlay)
        return play.transfer.window.size

    @rule(seconds=inputs.seconds)
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.do("wait", seconds)

    @rule()
    def expire(self) -> None:
        """Time passes up to the deadline."""
        self.do("expire")

    @rule(what=st.sampled_from(["repeat", "resume", "commit"]))
    def content(self, what: str) -> None:
        """The request comes again, or content has caught up."""
        self.do(what)

    @rule(ahead=inputs.small)
    def pause(self, ahead: int) -> None:
        """Content falls behind."""
        self.do("pause", ahead)

    @rule(how=st.integers(0, 3), chance=st.integers(0, 5))
    def end(self, how: int, chance: int) -> None:
        """Now and then it is ended from outside."""
        if not chance:
            self.do("end", how)

    @rule(index=st.sampled_from([3, 65533, 65534, 65535, 131069, 2**31]))
    def jump(self, index: int) -> None:
        """It is far into the file."""
        self.do("jump", index)

    def teardown(self) -> None:
        """Silence must end it."""
        self.run.close()


class ReadMachine(Machine):
    """Whatever a peer sends, and whenever the timer, content or the owner come in between, a machine
    of an RRQ never raises, acts no more after its end, sends a window at most for each datagram and
    little before there is an answer, stores just what came in order, and ends in silence."""

    target = "read_machine"

    @initialize(story=inputs.near("read_machine", inputs.single(inputs.begins(1))))
    def begin(self, story: Seed) -> None:
        """A machine begins, or is where a seed of the corpus brings it."""
        self.go(story)


class WriteMachine(Machine):
    """Whatever a peer sends, and whenever the timer, content or the owner come in between, a machine
    of a WRQ never raises, acts no more after its end, sends a window at most for each datagram and
    little before there is an answer, stores just what came in order, and ends in silence."""

    target = "write_machine"

    @initialize(story=inputs.near("write_machine", inputs.single(inputs.begins(2))))
    def begin(self, story: Seed) -> None:
        """A machine begins, or is where a seed of the corpus brings it."""
        self.go(story)


def _test_case(machine: type[RuleBasedStateMachine]) -> str:
    return f"Test{machine.__name__}"


for _machine, _play in ((ReadMachine, ReadPlay), (WriteMachine, WritePlay)):
    TARGETS[_machine.target] = Target(
        _machine.target, _sentence(_machine.__doc__), _play, machine=_machine
    )

TestReadMachine = ReadMachine.TestCase
TestWriteMachine = WriteMachine.TestCase


@_target(Segments, inputs.segments)
def test_segments(seed: Seed) -> None:
    """Datagrams that the kernel has joined do to a machine just what they do one by one."""
    TARGETS["segments"].run(seed)


@_target(Arrays, inputs.batches)
def test_arrays(seed: Seed) -> None:
    """What the kernel writes into the arrays of a batch is what is read, what is to be sent is what
    the kernel reads, and nothing of one batch is seen in another."""
    TARGETS["arrays"].run(seed)


@_target(Server, inputs.server_stories)
def test_server(seed: Seed) -> None:
    """Whatever several peers send to a server, it reports no bug, sends little to who does not answer,
    gives nothing away and overwrites nothing, leaves nothing behind, and serves the next client."""
    TARGETS["server"].run(seed)


@_target(Client, inputs.client_stories)
def test_client(seed: Seed) -> None:
    """Whatever a server answers, a client ends with the file or with a `ClientError` in printable
    words, and leaves neither a part of a file nor a socket."""
    TARGETS["client"].run(seed)


@_target(Urls, inputs.urls)
def test_url(seed: Seed) -> None:
    """Any text is a URL of a file that can be asked for, or a ValueError in words."""
    TARGETS["url"].run(seed)


@_target(Logging, inputs.logs)
def test_log(seed: Seed) -> None:
    """Whatever comes from the network, an event is one line of the log, in every form, that forges no
    other and steers no terminal."""
    TARGETS["log"].run(seed)


def replay_corpus(name: str) -> int:
    """Run the whole corpus of a target; return how many seeds.  Raises what a play raises."""
    found = corpus.seeds(name)
    for each in found:
        TARGETS[name].run(each)
    return len(found)
