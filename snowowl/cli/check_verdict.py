"""The verdict of `snowowl check`: from what came of a fetch to a status, a sentence and advice.

What the server said is escaped before it gets here, or here; a verdict is one line.
"""

from __future__ import annotations

import attrs

from snowowl.client import ClientError
from snowowl.client.probe import Probe
from snowowl.observe.words import printable, size_text
from snowowl.wire.constants import ErrorCode

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

_NO_ANSWER = (
    "is the server running, and UDP port {port} open in the firewalls? Its answers come from other"
    " ports: open those of server.port_range, too, or serve with --single-port"
)
_BY_REASON = {
    "RESOLVE": "name the server by its address, or look at the resolver of this machine",
    "CONNECT": "start the server, or name its port as in tftp://HOST:PORT/FILE",
    "PROTOCOL": "try --no-options; `snowowl conformance` tells what the server does wrong",
}
_BY_CODE = {
    0: "the server's log says why",
    1: "put the file beneath the served folder, and mind its letters' case",
    2: "let the server's user read the file, and serve no hidden or special one",
}


@attrs.frozen(kw_only=True)
class Expectations:
    """What must be so; None is not looked at."""

    timeout: float
    warning: float | None = None
    critical: float | None = None
    size: int | None = None
    sha256: str | None = None
    missing: bool = False
    octets_max: int | None = None


@attrs.frozen(kw_only=True)
class Verdict:
    """How it is, and what to do about it."""

    status: int
    message: str
    advice: str = ""
    probe: Probe = attrs.field(factory=Probe)

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        probe = self.probe
        return {
            "status": WORDS[self.status],
            "exit_status": self.status,
            "message": self.message,
            "advice": self.advice or None,
            "seconds": round(probe.seconds, 6),
            "octets": probe.octets,
            "whole": probe.whole,
            "announced": probe.announced,
            "sha256": probe.sha256 or None,
            "options": {
                name.decode("ascii", "replace"): value.decode("ascii", "replace")
                for name, value in probe.granted
            },
            "retransmitted": probe.retransmitted,
        }


def unknown(message: str, advice: str) -> Verdict:
    """Return the verdict on a check that could not be made."""
    return Verdict(status=UNKNOWN, message=printable(message), advice=advice)


def late(server: str, probe: Probe, expected: Expectations) -> Verdict:
    """Return the verdict on a fetch that was not done in time."""
    seconds = f"{expected.timeout:g} s"
    probe.seconds = expected.timeout
    if not probe.octets:
        return _no_answer(f"no answer from {server} in {seconds}", server, probe)
    of = "" if probe.announced is None else f" of {size_text(probe.announced)}"
    return Verdict(
        status=CRITICAL,
        message=f"only {size_text(probe.octets)}{of} came in {seconds}",
        advice="allow more by --timeout, or look at a part of the file only, by --max-octets",
        probe=probe,
    )


def failed(error: ClientError, server: str, probe: Probe, expected: Expectations) -> Verdict:
    """Return the verdict on a fetch that failed."""
    reason, code = error.reason.name, error.code
    message = printable(str(error))
    if reason == "SERVER" and expected.missing and code == ErrorCode.FILE_NOT_FOUND:
        return _timed("the server answers, and has no such file, as expected", probe, expected)
    if reason == "TIMEOUT":
        return _no_answer(message, server, probe)
    advice = _BY_REASON.get(reason, "")
    if reason == "SERVER":
        advice = _BY_CODE.get(code or 0, _BY_CODE[0])
    # What failed on this side says nothing of the server.
    status = UNKNOWN if reason in ("RESOLVE", "LOCAL_READ", "LOCAL_WRITE") else CRITICAL
    return Verdict(status=status, message=message, advice=advice, probe=probe)


def succeeded(probe: Probe, expected: Expectations) -> Verdict:
    """Return the verdict on a fetch that came to its end, or was broken off as was asked."""
    size = probe.octets if probe.whole else probe.announced
    what = f"{size_text(probe.octets)} in {probe.seconds:.3f} s"
    if not probe.whole:
        of = "" if probe.announced is None else f" of {size_text(probe.announced)}"
        what = f"the first {size_text(probe.octets)}{of} in {probe.seconds:.3f} s"
    if expected.missing:
        return Verdict(
            status=CRITICAL,
            message=f"the file is there, which was not expected: {what}",
            advice="ask for a name that no file has",
            probe=probe,
        )
    if expected.size is not None and size != expected.size:
        found = "unknown, the server announces none" if size is None else f"{size} octets"
        return Verdict(
            status=CRITICAL,
            message=f"the size is {found}, not {expected.size}",
            advice="put the right file there, or correct --size",
            probe=probe,
        )
    if expected.sha256 is not None and probe.sha256 != expected.sha256:
        return Verdict(
            status=CRITICAL,
            message=f"the SHA-256 is {probe.sha256}, not {expected.sha256}",
            advice="put the right file there, or correct --sha256",
            probe=probe,
        )
    return _timed(what, probe, expected)


def _timed(what: str, probe: Probe, expected: Expectations) -> Verdict:
    """Return OK, unless it took too long."""
    for status, limit in ((CRITICAL, expected.critical), (WARNING, expected.warning)):
        if limit is not None and probe.seconds > limit:
            return Verdict(
                status=status,
                message=f"{what}, more than {limit:g} s",
                advice=f"{probe.retransmitted} packets were sent again: look for loss and load",
                probe=probe,
            )
    return Verdict(status=OK, message=what, probe=probe)


def _no_answer(message: str, server: str, probe: Probe) -> Verdict:
    advice = _NO_ANSWER.format(port=server.rpartition(":")[2])
    return Verdict(status=CRITICAL, message=message, advice=advice, probe=probe)


def line(verdict: Verdict, filename: bytes, expected: Expectations) -> str:
    """Return the verdict as one line with performance data, as monitoring plugins print it."""
    # The bar begins the performance data, wherever it stands.
    name = printable(filename.decode("utf-8", "backslashreplace"))
    said = f"{name}, {verdict.message}" if verdict.status != UNKNOWN else verdict.message
    text = ": ".join(filter(None, [said, verdict.advice])).replace("|", "/")
    if verdict.status == UNKNOWN:
        return f"TFTP {WORDS[verdict.status]} - {text}"
    limits = [
        "" if limit is None else f"{limit:g}" for limit in (expected.warning, expected.critical)
    ]
    times = f"time={verdict.probe.seconds:.6f}s;{limits[0]};{limits[1]};0;{expected.timeout:g}"
    return f"TFTP {WORDS[verdict.status]} - {text} | {times} size={verdict.probe.octets}B;;;0"
