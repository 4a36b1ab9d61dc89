"""Sizes, rates and outcomes in words, the same in log lines and in the client's output."""

from __future__ import annotations

from snowowl.protocol.outcome import Outcome, OutcomeKind
from snowowl.wire.packets import error_name

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_TEXT_MAX = 300


def size_text(octets: float) -> str:
    """Return octets as ``12.3 MiB``."""
    size = float(octets)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit fits all")  # pragma: no cover


def rate_text(octets: int, seconds: float) -> str:
    """Return a rate as ``12.3 MiB/s``; nothing and an instant have none."""
    return f"{size_text(octets / seconds)}/s" if octets and seconds > 0 else "-"


def outcome_words(outcome: Outcome) -> str:
    """Return an outcome as one short phrase that says who ended it and why."""
    reason = printable(outcome.message)
    match outcome.kind:
        case OutcomeKind.COMPLETED:
            return "completed"
        case OutcomeKind.UNCONFIRMED:
            return "completed (last ACK missing)"
        case OutcomeKind.PROBED:
            return "probed (client broke off after the OACK)"
        case OutcomeKind.ABORTED:
            return f"aborted by the client ({reason})" if reason else "aborted by the client"
        case OutcomeKind.REFUSED:
            name = error_name(outcome.code or 0)
            return f"refused ({reason or name})"
        case OutcomeKind.TIMED_OUT | OutcomeKind.UNREACHABLE:
            return f"failed ({reason})"
        case OutcomeKind.SUPERSEDED | OutcomeKind.GAVE_WAY | OutcomeKind.STOPPED:
            return f"ended ({reason})"


def printable(text_untrusted: str, text_max: int | None = None) -> str:
    """Return text in which nothing can end a line or steer a terminal, of bounded length.

    Our own words have `text_max`: with paths in them they are long, and end in what is to be done.
    """
    text = text_untrusted[: text_max or _TEXT_MAX]
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
