"""The alert rules and the dashboard ask for metrics, labels and values that a scrape really has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from snowowl.observe.metrics import Metrics
from snowowl.observe.prometheus import Exposition

DEPLOY = Path(__file__).parents[2] / "examples/deploy"
OF_PROMETHEUS = {"instance", "job", "le"}

Known = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def known() -> Known:
    """The names of samples, with their labels and the values of these."""
    _, text = Exposition(Metrics().snapshot, "1").render("")
    found: Known = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def alert_expressions() -> list[str]:
    """Read `expr:` by hand: on one line, or on the deeper ones that follow `>-`."""
    found: list[str] = []
    depth: int | None = None
    for line in (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8").splitlines():
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            found[-1] += " " + line.strip()
            continue
        depth = None
        if (match := re.match(r" +expr: (.+)", line)) is not None:
            folded = match[1] == ">-"
            found.append("" if folded else match[1])
            depth = indent if folded else None
    return found


def dashboard_expressions() -> list[str]:
    text = (DEPLOY / "grafana/snowowl.json").read_text(encoding="utf-8")
    board = json.loads(text)
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    found += [each["expr"] for each in board["annotations"]["list"]]
    found += [
        each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"
    ]
    return found


def problems(expression: str, known: Known) -> list[str]:
    """Return what an expression asks for that there is not."""
    found = []
    labels_of_all: set[str] = set(OF_PROMETHEUS)
    for name, selector in re.findall(r"\b(snowowl_[a-z_]+)(\{[^}]*\})?", expression):
        if name not in known:
            found.append(name)
            continue
        labels_of_all |= set(known[name])
        for label, how, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            if label in OF_PROMETHEUS:
                continue
            values = known[name].get(label)
            wanted = set(value.split("|")) if "~" in how else {value}
            if values is None or not wanted <= values:
                found.append(f"{name}{{{label}{how}{value}}}")
    for by in re.findall(r"by \(([^)]*)\)", expression):
        found += [f"by {label}" for label in re.split(r", *", by) if label not in labels_of_all]
    return found


def test_alerts(known: Known) -> None:
    expressions = alert_expressions()
    text = (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8")
    assert len(expressions) == text.count("- alert: ") > 10
    assert [each for expression in expressions for each in problems(expression, known)] == []


def test_the_dashboard(known: Known) -> None:
    expressions = dashboard_expressions()
    assert len(expressions) > 20
    assert [each for expression in expressions for each in problems(expression, known)] == []


def test_the_dashboard_shows_every_metric(known: Known) -> None:
    shown = " ".join(dashboard_expressions())
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known}
    assert {name for name in families if name not in shown} == set()


def test_panels_do_not_overlap() -> None:
    board = json.loads((DEPLOY / "grafana/snowowl.json").read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("rate(snowowl_nothing_total[5m])", ["snowowl_nothing_total"]),
        ('snowowl_reloads_total{result="bad"}', ["snowowl_reloads_total{result=bad}"]),
        (
            'snowowl_transfers_total{outcome=~"timed_out|x"}',
            ["snowowl_transfers_total{outcome=~timed_out|x}"],
        ),
        ('snowowl_workers{client="x"}', ["snowowl_workers{client=x}"]),
        ("sum by (client) (snowowl_workers)", ["by client"]),
        ("sum by (le) (rate(snowowl_transfer_size_bytes_bucket[5m]))", []),
    ],
)
def test_what_does_not_exist_is_found(expression: str, found: list[str], known: Known) -> None:
    assert problems(expression, known) == found
