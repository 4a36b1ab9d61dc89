"""The table of a report: colours, widths, and what is shown of the evidence."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from snowowl.cli.conformance_table import EVIDENCE_LINES, show_cases, show_report, summary
from snowowl.testing.conformance import Case, Report, Result, Verdict, all_cases
from snowowl.testing.conformance.evidence import KEPT_MAX, Evidence
from snowowl.testing.conformance.packets import ack


def some_cases() -> list[Case]:
    return all_cases()[:5]


def evidence(count: int) -> Evidence:
    found = Evidence(0.0)
    for number in range(count):
        found.add(number / 1000, "sent", (2000, 69), ack(number))
    return found


def report() -> Report:
    """Return one with each verdict, the last case not run."""
    cases = some_cases()
    made = Report(cases=cases, written=[b"up-1", b"up-\xff"], died_in=("x-1",), seconds=3.0)
    for case, verdict in zip(cases, (*Verdict, Verdict.INFORMATIONAL), strict=True):
        ran = len(made.results) < 4
        made.results[case.id] = Result(
            case=case,
            verdict=verdict,
            said="" if verdict is Verdict.OK else f"said of {case.id} [red]",
            ran=ran,
            first_said="FAILED: worse" if verdict is Verdict.NON_STRICT else "",
            evidence=tuple(evidence(40).entries()),
        )
    return made


def shown(width: int, *, verbose: bool = False, **environment: str) -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=width, highlight=False, _environ=environment
    )
    show_report(console, "tftp://192.0.2.1:69", report(), verbose=verbose)
    return out.getvalue()


def test_verdicts_have_colours_but_with_no_color() -> None:
    coloured = shown(100, TERM="xterm")
    assert "\x1b[32mOK" in coloured
    assert "\x1b[1;31mFAILED" in coloured
    assert "\x1b[3" not in shown(100, TERM="xterm", NO_COLOR="1")


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    plain = shown(width, NO_COLOR="1", TERM="xterm")
    bare = re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert max(map(len, bare.splitlines())) <= width
    assert "[red]" in plain.replace("\n", "")


def test_findings_show_a_part_of_their_evidence_and_verbose_shows_all() -> None:
    text = shown(120, NO_COLOR="1", TERM="xterm")
    assert f"... {40 - EVIDENCE_LINES} more (-v) ..." in text
    assert text.count("-> 69") == 2 * EVIDENCE_LINES
    assert "not seen again; the first time: FAILED: worse" in " ".join(text.split())
    assert shown(120, verbose=True, NO_COLOR="1", TERM="xterm").count("-> 69") == 5 * 40


def test_the_summary_says_what_is_left_and_what_ended_the_server() -> None:
    lines = list(summary(report()))
    assert lines == [
        "5 cases in 3 s: 1 OK, 1 NON-STRICT, 1 INFORMATIONAL, 1 FAILED; 1 were not run",
        "The server no longer answers, since x-1.",
        "Left on the server, as TFTP cannot delete: up-1, up-\ufffd.",
    ]


def test_of_long_evidence_the_middle_is_left_out() -> None:
    entries = list(evidence(1000).entries())
    assert len(entries) <= 3 * KEPT_MAX + 1
    assert [entry.text for entry in entries[:2]] == ["ACK 0", "ACK 1"]
    assert entries[-1].text == "ACK 999"
    (gap,) = [entry for entry in entries if entry.direction == "note"]
    assert gap.text == f"... {1000 - len(entries) + 1} datagrams left out ..."


def test_the_list_of_cases() -> None:
    out = io.StringIO()
    show_cases(Console(file=out, width=100), all_cases())
    assert all(case.id in out.getvalue() for case in all_cases())
    assert "(long)" in out.getvalue()


def test_ids_are_unique_and_sentences_end() -> None:
    cases = all_cases()
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.text.endswith(".") and len(case.text) < 130 for case in cases), [
        case.id for case in cases if not case.text.endswith(".") or len(case.text) >= 130
    ]
    assert all(case.clause for case in cases)
