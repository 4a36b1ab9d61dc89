"""A report as JUnit XML, as CI systems read it.

FAILED is a failure, NON-STRICT one if that is asked for, what was not played is skipped.  A suite for
each chapter, a test for each case; no text of a server gets in unescaped.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import groupby

from snowowl.testing.conformance.report import Report, Result
from snowowl.testing.conformance.verdicts import Verdict


def junit(report: Report, url: str, *, strict: bool = False) -> str:
    """Return the document."""
    root = ET.Element("testsuites", name=f"snowowl conformance {_allowed(url)}")
    for title, results in groupby(report.ordered, key=lambda result: result.case.chapter):
        root.append(_suite(title, list(results), strict=strict))
    for key in ("tests", "failures", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", f"{report.seconds:.3f}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(title: str, results: list[Result], *, strict: bool) -> ET.Element:
    suite = ET.Element("testsuite", name=title, tests=str(len(results)))
    failures = skipped = 0
    for result in results:
        test = ET.SubElement(
            suite,
            "testcase",
            classname=f"snowowl.conformance.{title}",
            name=result.case.id,
            time=f"{result.seconds:.3f}",
        )
        said = _allowed(result.said)
        if result.verdict is Verdict.FAILED or (strict and result.verdict is Verdict.NON_STRICT):
            failures += 1
            failure = ET.SubElement(test, "failure", message=said, type=result.verdict.value)
            failure.text = _allowed("\n".join(_lines(result)))
        elif not result.ran:
            skipped += 1
            ET.SubElement(test, "skipped", message=said)
        elif result.verdict is not Verdict.OK:
            ET.SubElement(test, "system-out").text = _allowed("\n".join(_lines(result)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    suite.set("skipped", str(skipped))
    suite.set("time", f"{sum(result.seconds for result in results):.3f}")
    return suite


def _lines(result: Result) -> Iterator[str]:
    case = result.case
    yield f"{result.verdict.value}: {result.said}"
    yield f"{case.level.value} ({case.clause}): {case.text}"
    for entry in result.evidence:
        yield str(entry)


def _allowed(text: str) -> str:
    """Return text without what XML 1.0 has no way to write."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
