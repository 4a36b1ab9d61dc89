"""`snowowl fuzz`: look for what breaks a TFTP server, and play again what did."""

from __future__ import annotations

import ipaddress
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from snowowl.cli.fuzz_display import say_script, telling
from snowowl.cli.fuzz_options import (
    SECONDS,
    FuzzCommand,
    chosen_oracles,
    fuzz_options,
    name_of,
    refuse_with_replay,
)
from snowowl.cli.fuzz_output import Output
from snowowl.cli.signals import ending_signals

if TYPE_CHECKING:
    from snowowl.client.url import Target as Url
    from snowowl.testing.fuzzing.finding import Finding
    from snowowl.testing.fuzzing.hunt import Plan, Result
    from snowowl.testing.fuzzing.leaks import Secret
    from snowowl.testing.fuzzing.replay import Record
    from snowowl.testing.fuzzing.target import Target
    from snowowl.testing.fuzzing.trial import Conditions, Trial

EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_CANNOT = 3

SCRIPT_MAX = 4 << 20
"""Octets of a script: far more than any that was made small."""

REPLAY_TIMES = 3  # a script may need luck; three times without it is as good as never

_Open = Callable[[], "AbstractAsyncContextManager[Target]"]

_HELP = """\b
Looks for
  crash          the server died, or its port is closed
  hang           a good request is answered late, wrongly or not at all
  leak           octets of a file outside of the root came
  paths          an ERROR tells a path of the server's machine (lesser)
  amplification  more comes before the first ACK than 3 packets a request and second
  protocol       the server's packets break an RFC
  bystander      a valid transfer beside it came to harm (with --read)
  exhaustion     descriptors (over 24), threads (over 12), memory (over 48 MiB) grow
                 (with --pid or --command)

\b
Exit status
  0 nothing found   1 found   2 usage, interrupted   3 could not run

No upload has a name other than --write's or one that begins with snowowl-fuzz-.
"""


@click.command(cls=FuzzCommand, epilog=_HELP)
@click.argument("url")
@fuzz_options
def fuzz(
    url: str,
    command: str | None,
    pid: int | None,
    read_name: str | None,
    write_name: str | None,
    secrets: tuple[Path, ...],
    timeout: float,
    wait: float,
    seconds: float | None,
    examples: int | None,
    seed: int | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    shrink: float,
    rate: float | None,
    replay: Path | None,
    out: Path,
    junit: Path | None,
    verbose: int,
    *,
    yes: bool,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for what breaks the server at tftp://HOST[:PORT].

    \b
    snowowl fuzz tftp://127.0.0.1:6969 --read boot/kernel --seconds 300
    snowowl fuzz tftp://127.0.0.1:6969 -k --command './served --port {port} root'
    snowowl fuzz tftp://127.0.0.1:6969 --replay fuzz-findings/crash-died-7.fuzz
    """  # noqa: D301 - as in `main`
    from snowowl.testing.fuzzing.finding import Oracle
    from snowowl.testing.fuzzing.trial import Conditions

    where = _url(url)
    if replay is not None:
        refuse_with_replay()
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    record = None if replay is None else _record(replay)
    known_name = None if record is None else record.read_name
    known_write = None if record is None else record.write_name
    conditions = Conditions(
        oracles=frozenset(Oracle(name) for name in chosen_oracles(only, skip)),
        read=name_of(read_name, "--read") or known_name,
        write=name_of(write_name, "--write") or known_write,
        secrets=tuple(_secret(path) for path in secrets),
        timeout_seconds=timeout,
        wait_seconds=wait,
        rate=rate,
        seed=seed,
    )
    opened = _target(command, pid, where.port)
    if record is not None:
        _replay(url, where, opened, conditions, record, yes=yes, quiet=quiet, as_json=as_json)
    if find_spec("hypothesis") is None:
        _fail("fuzzing needs hypothesis: pip install 'snowowl[fuzz]' (--replay does not)")
    from snowowl.testing.fuzzing.hunt import Plan

    plan = Plan(
        seconds=SECONDS if seconds is None and examples is None else seconds,
        examples=examples,
        seed=seed,
        keep_going=keep_going,
        shrink_seconds=shrink,
    )
    output = Output(folder=out, junit=junit, as_json=as_json, quiet=quiet, command=command)
    _search(url, _addresses(where, yes=yes), opened, conditions, plan, output, verbose)


def _search(
    url: str,
    addresses: list[bytes],
    opened: _Open,
    conditions: Conditions,
    plan: Plan,
    output: Output,
    verbose: int,
) -> NoReturn:
    """Hunt, say what came of it, and end the program."""
    if not output.quiet and not output.as_json:
        click.echo(f"seed {plan.seed}", err=True)
    result, interrupted = _hunt(
        addresses, opened, conditions, plan, quiet=output.quiet, verbose=verbose
    )
    output.say(url, result, conditions)
    if interrupted:
        click.echo("snowowl: interrupted", err=True)
        sys.exit(EXIT_USAGE)
    if result.found:
        sys.exit(EXIT_FOUND)
    sys.exit(EXIT_CANNOT if result.gone else 0)


# What the command line says.


def _url(url: str) -> Url:
    from snowowl.client import parse_url

    try:
        target = parse_url(url + ("-" if url.endswith("/") else "/-"))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if target.filename != b"-":
        raise click.UsageError("the URL names a server and no file: say --read NAME")
    return target


def _secret(path: Path) -> Secret:
    from snowowl.testing.fuzzing.leaks import load_secret

    try:
        return load_secret(path)
    except OSError as error:
        raise click.UsageError(
            f"cannot read {click.format_filename(path)}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _target(command: str | None, pid: int | None, port: int) -> _Open:
    """Return what opens the server: a command, or one that runs already.  Fails if that cannot be."""
    from contextlib import nullcontext

    from snowowl.testing.fuzzing.owned import arguments, running
    from snowowl.testing.fuzzing.processes import usage_of
    from snowowl.testing.fuzzing.target import Foreign

    if command is not None:
        if pid is not None:
            raise click.UsageError("--command knows the process by itself: leave --pid out")
        try:
            words = arguments(command, port)
        except ValueError as error:
            raise click.UsageError(f"--command: {error}") from error
        return lambda: running(words)
    if pid is not None and usage_of(pid) is None:
        _fail(f"there is no process {pid} whose /proc can be read")
    return lambda: nullcontext(Foreign(pid))


def _record(path: Path) -> Record:
    from snowowl.testing.fuzzing.replay import ReplayError, loads

    name = click.format_filename(path)
    try:
        with path.open("rb") as file:
            octets = file.read(SCRIPT_MAX + 1)
        if len(octets) > SCRIPT_MAX:
            raise click.UsageError(f"{name} has more than {SCRIPT_MAX >> 20} MiB: it is no script")
        return loads(octets.decode())
    except OSError as error:
        raise click.UsageError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise click.UsageError(f"{name} is no text") from None
    except ReplayError as error:
        raise click.UsageError(f"{name}: {_printable(str(error))}") from error


def _addresses(where: Url, *, yes: bool) -> list[bytes]:
    """Return the server's addresses; whoever runs it may have to be asked first."""
    import trio

    from snowowl.client.errors import ClientError
    from snowowl.client.session import server_addresses
    from snowowl.datagram.address import host_text

    try:
        addresses = [address for _, address in trio.run(server_addresses, where)]
    except ClientError as error:
        _fail(str(error))
    hosts = [host_text(address).partition("%")[0] for address in addresses]
    if yes or all(ipaddress.ip_address(host).is_loopback for host in hosts):
        return addresses
    warning = f"{where.host} is another machine, and what is sent may crash its server"
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None:
        if click.confirm(f"{warning}. Is it yours to break?", err=True):
            return addresses
        sys.exit(EXIT_USAGE)
    raise click.UsageError(f"{warning}: say --yes if it is yours to break")


def _fail(text: str) -> NoReturn:
    click.echo(f"snowowl: {_printable(text)}", err=True)
    sys.exit(EXIT_CANNOT)


def _printable(text: str) -> str:
    from snowowl.observe.words import printable

    return printable(text)


# What is done.


def _hunt(
    addresses: list[bytes],
    opened: _Open,
    conditions: Conditions,
    plan: Plan,
    *,
    quiet: bool,
    verbose: int,
) -> tuple[Result, bool]:
    """Hunt; return the result, whole or as far as it came, and whether it was interrupted."""
    from snowowl.testing.fuzzing.hunt import Hunt, Result

    hunts: list[Hunt] = []

    async def hunt() -> None:
        async def one(trial: Trial) -> None:
            with telling(plan, quiet=quiet, verbose=verbose) as tell:
                if verbose > 1:
                    trial.played = say_script
                hunts.append(Hunt(trial, plan, tell))
                await hunts[-1].run()

        await _with_trial(addresses, opened, conditions, one)

    interrupted = _run(hunt)
    return (hunts[-1].result if hunts else Result(plan.seed)), interrupted


def _replay(
    url: str,
    where: Url,
    opened: _Open,
    conditions: Conditions,
    record: Record,
    *,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> NoReturn:
    """Play a script again; end the program with whether it still shows what it did."""
    from snowowl.testing.fuzzing.repeat import played_again

    seen: list[tuple[bool, list[Finding]]] = []

    async def replay() -> None:
        async def one(trial: Trial) -> None:
            await trial.prepare()
            seen.append(await played_again(trial, record, REPLAY_TIMES))

        await _with_trial(_addresses_now, opened, conditions, one)

    _addresses_now = _addresses(where, yes=yes)
    if _run(replay):
        click.echo("snowowl: interrupted", err=True)
        sys.exit(EXIT_USAGE)
    happens, findings = seen[0]
    wanted = "a finding" if record.finding is None else record.finding.name
    if as_json:
        found = [{"name": finding.name, "text": finding.text} for finding in findings]
        said_all = {"url": url, "wanted": wanted, "happens": happens, "findings": found}
        click.echo(json.dumps(said_all))
    elif not quiet:
        said = "still happens" if happens else f"was not seen in {REPLAY_TIMES} times"
        click.echo(f"{_printable(url)}: {_printable(wanted)} {said}")
        for finding in findings:
            click.echo(f"  {_printable(finding.name)}: {_printable(finding.text)}")
    sys.exit(EXIT_FOUND if happens else 0)


async def _with_trial(
    addresses: list[bytes],
    opened: _Open,
    conditions: Conditions,
    use: Callable[[Trial], Awaitable[None]],
) -> None:
    """Use a trial of the first of the addresses at which the server answers."""
    from contextlib import closing

    from snowowl.datagram.settings import Settings
    from snowowl.datagram.system import SystemNetwork
    from snowowl.testing.fuzzing.trial import GoneError, Trial

    # One datagram at a time, as others send and hear them: no joining, no memory for batches.
    with closing(SystemNetwork(Settings(rung="portable"))) as network:
        async with opened() as target:
            for index, server in enumerate(addresses):
                try:
                    await use(Trial(network, server, target, conditions))
                except GoneError:
                    if index + 1 == len(addresses):
                        raise
                else:
                    return


def _run(main: Callable[[], Awaitable[None]]) -> bool:
    """Run something until it ends or Ctrl-C ends it; say whether that was so."""
    import trio

    from snowowl.testing.fuzzing.target import UnstartableError
    from snowowl.testing.fuzzing.trial import GoneError

    interrupted = False
    errors: list[GoneError | UnstartableError | OSError] = []

    async def until_interrupted() -> None:
        async def watch(signals: AsyncIterator[int]) -> None:
            nonlocal interrupted
            async for _ in signals:
                interrupted = True
                nursery.cancel_scope.cancel()

        with trio.open_signal_receiver(*ending_signals()) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, signals)
                try:
                    await main()
                except (GoneError, UnstartableError, OSError) as error:
                    errors.append(error)
                nursery.cancel_scope.cancel()

    try:
        trio.run(until_interrupted)
    except KeyboardInterrupt:  # so early that nothing has begun
        return True
    for error in errors:
        if isinstance(error, OSError):
            _fail(f"cannot open a socket: {error.strerror or error}")
        _fail(str(error))
    return interrupted
