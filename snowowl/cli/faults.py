"""`snowowl faults`: a hostile server, to test TFTP clients and boot loaders with."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snowowl.cli.faults_table import Tally, fault_dict, fault_list, transfer_line
from snowowl.cli.numbers import FloatRange

if TYPE_CHECKING:
    import trio

    from snowowl.config.listen import ListenAddress
    from snowowl.observe.writer import LineWriter
    from snowowl.testing.faults import Judged, Spec
    from snowowl.testing.faults.asked import Setting
    from snowowl.testing.faults.plan import Plan
    from snowowl.testing.faults.server import FaultServer

EXIT_MISBEHAVED = 1
EXIT_CANNOT_LISTEN = 3
EXIT_CANNOT_SERVE = 2

_SEED_BITS = 32

_HELP = """\b
Which fault is played in a transfer:
  1. one that the file's name begins with, as in tftp://HOST/lost-data:block=3/vmlinuz:
     so a boot script can choose; --fault does not count then. A comma may stand for the colon
     (lost-data,block=3/vmlinuz): to U-Boot and tftp-hpa a colon ends the name of a host
  2. else the next of the plan (--fault, --random, or all there are) that the request allows;
     when the plan is through, transfers go without fault, or with --cycle it begins again

\b
Verdicts, from the server's point of view:
  RECOVERED      the whole file arrived     NON-STRICT   against the letter, harmless here
  ENDED          it rightly gave up         MISBEHAVED   wrong
  NOT REACHED    the fault had no occasion  INFORMATIONAL  no RFC says what is right
  CLEAN          there was no fault to play

\b
Exit status: 0 no client misbehaved, 1 one did, 2 usage or no such folder, 3 cannot listen.
"""


@click.command(epilog=_HELP)
@click.argument("root", metavar="[DIR]", default=".", type=click.Path())
@click.option(
    "-a",
    "--listen",
    multiple=True,
    metavar="ADDR:PORT",
    help="Listen here; may be repeated. '*:PORT' is every address, port 0 any free port."
    "  [default: *:69]",
)
@click.option(
    "-f",
    "--fault",
    "faults_",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="Play this fault; of several, each transfer gets the next.",
)
@click.option(
    "--random",
    "random_count",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Play N faults that the seed chooses, parameters too.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="What chance decides; the same seed and requests give the same.  [default: any]",
)
@click.option("--cycle", is_flag=True, help="Begin the plan again when it is through.")
@click.option(
    "--once",
    is_flag=True,
    help="End when each --fault (or --random) was played once; without them, after a transfer.",
)
@click.option("--writable", is_flag=True, help="Take uploads; they replace files.")
@click.option(
    "--silence",
    type=FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A client that says nothing for so long has given up.",
)
@click.option("--list", "list_", is_flag=True, help="Show all faults and what to expect, and end.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object for each line.")
def faults(
    root: str,
    listen: tuple[str, ...],
    faults_: tuple[str, ...],
    random_count: int | None,
    seed: int | None,
    silence: float,
    *,
    cycle: bool,
    once: bool,
    writable: bool,
    list_: bool,
    as_json: bool,
) -> None:
    """Serve the folder DIR (default: this one) with faults, and judge the clients.

    \b
    snowowl faults --list                           what there is
    snowowl faults -a 127.0.0.1:6969 boot           every fault, one for each transfer
    snowowl faults -f lost-data:block=3 --cycle     one fault, each time
    snowowl faults --random 50 --seed 7 boot        50 that chance chooses, again the same

    The server itself is a right one: all that is wrong is the fault.
    """  # noqa: D301 - as in `main`
    if list_:
        _list(as_json=as_json)
        return
    if cycle and once:
        raise click.UsageError("--cycle and --once exclude each other")
    if faults_ and random_count:
        raise click.UsageError("--fault and --random exclude each other")
    from snowowl.config.listen import parse_listen
    from snowowl.testing.faults.catalog import every_fault, parse_fault, random_faults
    from snowowl.testing.faults.plan import Plan

    number = secrets.randbits(_SEED_BITS) if seed is None else seed
    try:
        where = [parse_listen(text) for text in listen or ("*:69",)]
        specs: Sequence[Spec] = [parse_fault(text) for text in faults_]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if random_count is not None:
        specs = list(random_faults(random_count, str(number)))
    once_all = bool(specs)
    plan = Plan(specs or every_fault(), repeats=cycle, once=once and once_all)
    program = _Program(plan, number, once=once, once_all=once_all, as_json=as_json)
    sys.exit(program.run(root, where, silence, writable=writable))


def _list(*, as_json: bool) -> None:
    from snowowl.testing.faults.catalog import FAULTS

    if as_json:
        click.echo(json.dumps([fault_dict(fault) for fault in FAULTS.values()]))
        return
    width = shutil.get_terminal_size((100, 24)).columns
    click.echo(fault_list(FAULTS.values(), min(width, 120)))


class _Program:
    """A fault server with its lines and its signals."""

    def __init__(self, plan: Plan, seed: int, *, once: bool, once_all: bool, as_json: bool) -> None:
        self._plan = plan
        self._seed = seed
        self._once = once
        self._once_all = once_all
        self._as_json = as_json
        self._writer: LineWriter | None = None
        self._colors = _wants_colors()
        self._over: trio.Event | None = None
        self._server: FaultServer | None = None
        self._tally = Tally()
        self._status = 0

    def run(self, root: str, where: list[ListenAddress], silence: float, *, writable: bool) -> int:
        """Serve until a signal or the plan ends it; return the exit status."""
        import trio

        from snowowl.datagram.settings import Settings
        from snowowl.datagram.system import SystemNetwork
        from snowowl.server.errors import ListenError, RootError
        from snowowl.testing.faults.asked import Setting
        from snowowl.testing.faults.content import Folder

        try:
            files = Folder(Path(root), writable=writable)
        except (OSError, ValueError) as error:
            failure = error if isinstance(error, OSError) else OSError(str(error))
            click.echo(f"snowowl: {RootError(Path(root), failure)}", err=True)
            return EXIT_CANNOT_SERVE
        network = SystemNetwork(Settings(rung="portable"))
        with closing(files), closing(network):
            try:
                trio.run(self._run, Setting(network, files, silence), where)
            except* ListenError as group:
                click.echo(f"snowowl: {_first(group)}", err=True)
                self._status = EXIT_CANNOT_LISTEN
        if self._status:
            return self._status
        return EXIT_MISBEHAVED if "MISBEHAVED" in self._tally.verdicts else 0

    async def _run(self, setting: Setting, where: list[ListenAddress]) -> None:
        import trio

        from snowowl.observe.writer import LineWriter
        from snowowl.testing.faults.server import FaultServer

        self._over = trio.Event()
        writer = self._writer = LineWriter(_stdout_descriptor())
        server = self._server = FaultServer(
            setting, self._plan, self._seed, judged=self._tell, warned=_warn, remembers=False
        )
        async with trio.open_nursery() as writing:
            writing.start_soon(writer.run)
            async with trio.open_nursery() as nursery:
                await nursery.start(self._watch_signals)
                self._begin(await nursery.start(server.run, where))
                await self._over.wait()
                server.settle()
                await server.wait_settled()
                nursery.cancel_scope.cancel()
            self._end()
            writer.close()

    async def _watch_signals(self, task_status: trio.TaskStatus[None]) -> None:
        import trio

        assert self._over is not None
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self._over.set()

    def _begin(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            click.echo(f"listening on {address}", err=True)
        click.echo(f"seed {self._seed} (--seed {self._seed} plays the same again)", err=True)
        if self._as_json:
            self._write({"event": "started", "addresses": list(addresses), "seed": self._seed})

    def _tell(self, judged: Judged) -> None:
        assert self._over is not None
        assert self._server is not None
        self._tally.add(judged)
        if self._as_json:
            self._write({"event": "transfer", **judged.as_dict()})
        else:
            self._line(transfer_line(judged, colors=self._colors))
        last = self._server.running <= 1  # this one is still counted
        if self._once and last and not (self._once_all and self._plan.left):
            self._over.set()

    def _end(self) -> None:
        if self._as_json:
            self._write(
                {
                    "event": "summary",
                    "verdicts": self._tally.verdicts,
                    "transfers": self._tally.count,
                    "text": self._tally.totals(),
                }
            )
        else:
            self._line("\n" + self._tally.summary(colors=self._colors))

    def _line(self, line: str) -> None:
        assert self._writer is not None
        self._writer.write(line)

    def _write(self, what: dict[str, object]) -> None:
        self._line(json.dumps(what))


def _stdout_descriptor() -> int:
    """Return where lines go; nowhere if the program was started with a closed stdout."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stdout is None else sys.stdout.fileno()


def _wants_colors() -> bool:
    """Say whether stdout is a terminal that people want coloured (https://no-color.org)."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout is not None and sys.stdout.isatty() and not plain


def _warn(text: str) -> None:
    click.echo(f"snowowl: {text}", err=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of nested groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
