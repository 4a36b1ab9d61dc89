"""What `snowowl fuzz` says of a hunt: to people, as JSON, as JUnit XML, and as scripts in files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowowl.testing.fuzzing.hunt import Found, Result
    from snowowl.testing.fuzzing.trial import Conditions

Json = str | int | float | bool | dict[str, "Json"] | list["Json"] | None

SCHEMA = 1
SUFFIX = ".fuzz"
_SHOWN_LINES_MAX = 12
_SHOWN_COLUMNS_MAX = 100


def _again(found: Found) -> str:
    from snowowl.testing.fuzzing.hunt import CONFIRM_TIMES

    if found.unfinished and not found.confirmed:
        return "not played again: it was broken off"
    return f"seen again {found.confirmed} of {CONFIRM_TIMES} times"


def script_text(found: Found, conditions: Conditions, seed: int) -> str:
    """Return the file of a finding."""
    from snowowl.testing.fuzzing.replay import Record, dumps

    record = Record(
        script=found.script,
        finding=found.finding,
        read_name=conditions.read,
        write_name=conditions.write,
        notes=(f"found with seed {seed} after {found.at_script} scripts; {_again(found)}",),
    )
    return dumps(record)


def write_scripts(result: Result, conditions: Conditions, folder: Path) -> dict[str, Path]:
    """Write a file for each finding; return the files by the finding's name.  Raises OSError."""
    written: dict[str, Path] = {}
    if result.found:
        folder.mkdir(parents=True, exist_ok=True)
    for found in result.found:
        stem = re.sub(r"[^A-Za-z0-9]+", "-", found.finding.name).strip("-")
        path = folder / f"{stem}-{result.seed}{SUFFIX}"
        path.write_text(script_text(found, conditions, result.seed), encoding="utf-8")
        written[found.finding.name] = path
    return written


def table(
    url: str,
    result: Result,
    conditions: Conditions,
    files: Mapping[str, Path],
    *,
    quiet: bool,
    server: str = "",
) -> str:
    """Return all that is to be said, without a line end; `server` are options that a replay needs."""
    lines = [] if quiet else [*_head(url, result, conditions), ""]
    for found in result.found:
        lines += [*_finding(found, files.get(found.finding.name), url, server), ""]
    if not quiet and not result.found:
        lines.append("nothing found")
    return "\n".join(lines).rstrip("\n")


def _head(url: str, result: Result, conditions: Conditions) -> Iterator[str]:
    rate = result.scripts / result.seconds if result.seconds else 0.0
    yield f"fuzzed {url}, seed {result.seed}"
    yield ""
    scripts = f"{result.scripts} in {result.seconds:.1f} s: {rate:.1f} a second"
    yield f"scripts      {scripts}, {result.datagrams} datagrams"
    yield f"looked for   {', '.join(_oracles(result, conditions))}"
    if result.restarts:
        yield f"server       had to be restarted {result.restarts} times"
    if result.dismissed:
        yield f"dismissed    {result.dismissed} suspicions that were not seen a second time"
    if result.gone:
        yield f"ended early  {result.gone}"


def _oracles(result: Result, conditions: Conditions) -> Iterator[str]:
    from snowowl.testing.fuzzing.finding import Oracle

    for oracle in Oracle:
        if oracle not in conditions.oracles:
            continue
        if oracle is Oracle.BYSTANDER and not result.bystands:
            continue
        if oracle is Oracle.EXHAUSTION and not result.watches_usage:
            continue
        yield oracle.value


def _finding(found: Found, path: Path | None, url: str, server: str) -> Iterator[str]:
    from snowowl.observe.words import printable
    from snowowl.testing.fuzzing.replay import Record, dumps

    yield f"FOUND {found.finding.name}"
    yield f"  {printable(found.finding.text)}"
    yield f"  after {found.at_script} scripts, {found.after_seconds:.1f} s; {_again(found)}"
    lines = dumps(Record(script=found.script)).strip().splitlines()[2:]
    for line in lines[:_SHOWN_LINES_MAX]:
        yield f"    {line if len(line) <= _SHOWN_COLUMNS_MAX else line[:_SHOWN_COLUMNS_MAX] + ' ...'}"
    if len(lines) > _SHOWN_LINES_MAX:
        yield f"    ... {len(lines) - _SHOWN_LINES_MAX} lines more"
    if path is not None:
        yield f"  snowowl fuzz --replay {shlex.quote(str(path))} {shlex.quote(url)}{server}"


def as_json(
    url: str, result: Result, conditions: Conditions, files: Mapping[str, Path]
) -> dict[str, Json]:
    """Return the result for programs; `schema` is counted up when a key goes or changes."""
    findings: list[Json] = [
        {
            "oracle": found.finding.oracle.value,
            "rule": found.finding.rule,
            "shape": found.finding.shape,
            "text": found.finding.text,
            "confirmed": found.confirmed,
            "after_scripts": found.at_script,
            "after_seconds": round(found.after_seconds, 3),
            "script": script_text(found, conditions, result.seed),
            "file": str(files[found.finding.name]) if found.finding.name in files else None,
        }
        for found in result.found
    ]
    looked_for: list[Json] = list(_oracles(result, conditions))
    return {
        "schema": SCHEMA,
        "url": url,
        "seed": result.seed,
        "scripts": result.scripts,
        "datagrams": result.datagrams,
        "seconds": round(result.seconds, 3),
        "restarts": result.restarts,
        "dismissed": result.dismissed,
        "looked_for": looked_for,
        "ended_early": result.gone or None,
        "findings": findings,
    }


def junit(url: str, result: Result, conditions: Conditions) -> bytes:
    """Return JUnit XML: a test case for each oracle, failed by its findings."""
    from xml.etree import ElementTree as ET

    looked_for = list(_oracles(result, conditions))
    by_oracle: dict[str, list[Found]] = {name: [] for name in looked_for}
    for found in result.found:
        by_oracle.setdefault(found.finding.oracle.value, []).append(found)
    failures = sum(bool(each) for each in by_oracle.values())
    suite = ET.Element(
        "testsuite",
        name=f"snowowl fuzz {_xml(url)}",
        tests=str(len(by_oracle)),
        failures=str(failures),
        errors="0",
        time=f"{result.seconds:.3f}",
    )
    for name, each in by_oracle.items():
        case = ET.SubElement(suite, "testcase", classname="snowowl.fuzz", name=name)
        if each:
            names = ", ".join(found.finding.name for found in each)
            failure = ET.SubElement(case, "failure", message=_xml(names), type=name)
            texts = (script_text(found, conditions, result.seed) for found in each)
            failure.text = _xml("\n".join(texts))
    octets: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return octets


def _xml(text: str) -> str:
    """Return text that XML can hold."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
