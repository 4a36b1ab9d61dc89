"""The benchmark's arithmetic and tables; and that its C programs compile and agree with each other."""

from __future__ import annotations

import shutil

import attrs
import pytest

from snowowl.config import Config, parse_config
from tests.bench.command import rotated, steps_of, text_of
from tests.bench.measure import calls_in, run
from tests.bench.report import (
    BEGIN,
    END,
    Ratio,
    number,
    ratio,
    replaced,
    row_of,
    rows_of,
    short_table,
    variants_table,
    whole_table,
)
from tests.bench.results import Result, Runs, runs_of
from tests.bench.scenarios import SCENARIOS, scenario_named
from tests.bench.servers import limit, variants_in
from tests.bench.workspace import HERE, tool
from tests.peers.servers import Server
from tests.peers.workspace import SMALL, Workspace

PEERS = ("quick", "frugal")
WINDOW = scenario_named("window16")
CALLS = scenario_named("calls100")


def result(
    server: str, value: float, cpu: float = 1.0, at: int = 0, key: str = "window16"
) -> Result:
    return Result(scenario=key, server=server, round=at, value=value, cpu=cpu)


def failed(server: str, problem: str, at: int = 0, key: str = "window16") -> Result:
    return Result(scenario=key, server=server, round=at, problem=problem, complete=False)


ROUNDS = (
    result("snowowl", 300, 2.0),
    result("quick", 100, 8.0),
    result("frugal", 50, 4.0),
    result("limit", 600),
    result("snowowl", 100, 3.0, 1),
    result("quick", 20, 8.0, 1),
    result("frugal", 40, 6.0, 1),
    result("limit", 400, at=1),
    result("snowowl", 200, 1.0, 2),
    result("quick", 50, 4.0, 2),
    failed("frugal", "fails: it ended", 2),
    result("limit", 200, at=2),
)
"""Two peers; which one is the better changes between rounds, and one fails in the last."""


def test_ratios_are_taken_within_a_round_and_to_the_best_peer_of_it() -> None:
    row = row_of(WINDOW, ROUNDS, PEERS)
    assert row.rate == Ratio(3.0, 2.5, 4.0)  # 300/100, 100/40, 200/50
    assert row.cpu == Ratio(0.5, 0.25, 0.5)  # 2/4, 3/6, 1/4
    assert row.limit == Ratio(0.5, 0.25, 1.0)
    assert row.values == {"snowowl": 200, "quick": 50, "frugal": 45, "limit": 400}
    assert row.best == "quick"


def test_a_server_that_failed_in_one_round_says_so_in_a_note() -> None:
    row = row_of(WINDOW, ROUNDS, PEERS)
    assert row.notes == {"frugal": "1 of 3 runs fails: it ended"}
    assert not row.problems


def test_nothing_is_divided_by_zero() -> None:
    assert ratio([(1.0, 0.0)]) is None
    assert ratio([]) is None


def test_a_missed_target_is_named() -> None:
    row = row_of(WINDOW, ROUNDS, PEERS)
    assert row.verdict == "missed: CPU above 0.4x"
    slow = [result("snowowl", 200, 0.1), result("quick", 100)]
    assert row_of(WINDOW, slow, PEERS).verdict == "missed: MB/s below 2.5x"
    assert (
        row_of(WINDOW, [result("snowowl", 250, 0.4), result("quick", 100)], PEERS).verdict == "met"
    )


def test_no_verdict_without_a_peer_or_without_us() -> None:
    assert not row_of(WINDOW, [result("snowowl", 200)], PEERS).verdict
    assert not row_of(WINDOW, [result("quick", 200)], PEERS).verdict


def test_counts_are_judged_by_themselves() -> None:
    few, many = result("snowowl", 0.1, 0, key=CALLS.key), result("snowowl", 0.6, 0, key=CALLS.key)
    assert row_of(CALLS, [few], PEERS).verdict == "met"
    assert row_of(CALLS, [many], PEERS).verdict == "missed: more than 0.5 calls/block"
    assert row_of(CALLS, [few, result("quick", 4, key=CALLS.key)], PEERS).rate is None


def test_a_request_that_was_sent_twice_misses_a_target_of_all_complete() -> None:
    crowd = scenario_named("clients1000")
    ours = result("snowowl", 100, key=crowd.key)
    peer = result("quick", 100, key=crowd.key)
    assert row_of(crowd, [ours, peer], PEERS).verdict == "met"
    again = attrs.evolve(ours, complete=False)
    assert row_of(crowd, [again, peer], PEERS).verdict == "missed: not all complete at once"


def test_our_own_failure_misses_whatever_was_demanded() -> None:
    ours = failed("snowowl", "does not answer: it wrote nothing")
    row = row_of(WINDOW, [ours, result("quick", 100)], PEERS)
    assert row.verdict == "missed: does not answer"


def test_a_long_problem_is_cut_and_stays_on_its_line() -> None:
    told = failed("quick", "fails: " + "very\nlong " * 50)
    table = whole_table(rows_of([told, result("snowowl", 1)], PEERS), ["quick", "snowowl"])
    assert "| fails |" in table
    assert len(table.splitlines()[-1]) < 140
    assert table.endswith("...\n")


def test_numbers_have_three_digits_that_count() -> None:
    assert [number(value) for value in (1234.5, 99.94, 9.994, 0.1234)] == [
        "1234",
        "99.9",
        "9.99",
        "0.12",
    ]


def test_the_whole_table_has_a_cell_for_each_server_and_notes_below() -> None:
    results = [*ROUNDS, failed("none", "no window")]
    table = whole_table(rows_of(results, PEERS), ["none", *PEERS, "limit", "snowowl"])
    head, _, line, *notes = table.splitlines()
    assert head.count("|") == line.count("|") == 12
    assert "| no window | 50.0 (8.00) | 45.0 (5.00) * | 400 (1.00) | 200 (2.00) |" in line
    assert "| 3.00x (2.50-4.00) | 0.50x (0.25-0.50) |" in line
    assert notes[-1] == "- windowsize 16, 1428 B: frugal 1 of 3 runs fails: it ended"


def test_the_short_table_names_the_best_peer() -> None:
    line = short_table(rows_of(ROUNDS, PEERS)).splitlines()[2]
    assert line == (
        "| windowsize 16, 1428 B; MB/s (s/GiB) | 200 (2.00) | quick 50.0 (8.00) | 3.00x | 0.50x | 400 (1.00) |"
    )


def test_variants_are_compared_with_the_default() -> None:
    results = [result("snowowl", 200, 2.0), result("GSO off", 50, 6.0), result("limit", 300)]
    lines = variants_table(results, ["GSO off", "not run"]).splitlines()
    assert lines[2:] == [
        "| GSO off | windowsize 16, 1428 B; MB/s (s/GiB) | 200 (2.00) | 50.0 (6.00) | 0.25x | 3.00x |"
    ]
    assert not variants_table(results, [])


def test_only_what_is_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(document, "new\n") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replaced("no markers", "new") == "no markers"


def test_runs_survive_being_kept() -> None:
    runs = Runs(
        machine="2 CPUs",
        rounds=3,
        minutes=2.0,
        servers={"quick": "peer", "frugal": "peer", "limit": "limit", "snowowl": "snowowl"},
        versions={"quick": "1.0", "limit": ""},
        results=list(ROUNDS),
    )
    assert runs_of(runs.to_json()) == runs
    assert text_of(runs).startswith("2 CPUs; quick 1.0; rounds: 3, minutes: 2.\n\n| scenario |")
    with pytest.raises(ValueError, match="no runs"):
        runs_of('{"rounds": []}')


def a_server(name: str, *scenarios: str) -> Server:
    return Server(
        name=name,
        kind="peer",
        command=lambda _port, _uploads: [],
        folder=HERE,
        scenarios=scenarios or None,
    )


def test_each_server_begins_a_round_once() -> None:
    servers = [a_server("a"), a_server("b"), a_server("c")]
    begins = ["".join(server.name for server in rotated(servers, by)) for by in range(3)]
    assert begins == ["abc", "bca", "cab"]
    assert rotated([], 1) == []


def test_a_server_runs_where_it_is_meant_to() -> None:
    servers = [a_server("any"), a_server("one", "storm")]
    chosen = [scenario_named("window16"), scenario_named("storm"), CALLS]
    steps = [(each.key, at, server.name) for each, at, server in steps_of(chosen, servers, 2)]
    assert steps == [
        ("window16", 0, "any"),
        ("window16", 1, "any"),
        ("storm", 0, "any"),
        ("storm", 0, "one"),
        ("storm", 1, "one"),
        ("storm", 1, "any"),
        ("calls100", 0, "any"),
    ]


def test_no_file_needs_block_numbers_that_peers_do_not_have() -> None:
    fetched = [each for each in SCENARIOS if each.measure.value != "MB"]
    assert all(each.size // each.blksize < 65535 for each in fetched)


@pytest.mark.parametrize(
    "total",
    [
        "100.00    0.030000           4      7001           total",
        "100.00    0.030000           4      7001        12 total",
        "100.00    0.030000                  7001        12 total",
    ],
)
def test_the_total_of_strace_is_read_with_and_without_errors(total: str) -> None:
    head = "% time     seconds  usecs/call     calls    errors syscall\n"
    line = " 99.00    0.029000           4      6000         3 recvmmsg\n"
    assert calls_in(f"{head}{line}{total}\n") == 7001


def test_every_variant_is_a_configuration_and_names_scenarios() -> None:
    variants = variants_in((HERE / "variants.toml").read_text(encoding="utf-8"))
    assert len({variant.name for variant in variants}) == len(variants) > 10
    for variant in variants:
        assert parse_config(variant.config) != Config()
        assert [scenario_named(key) for key in variant.scenarios]


def test_a_list_of_variants_that_is_none_is_refused() -> None:
    for text in ("", "[[variant]]\nname = 'x'", "variant = 3"):
        with pytest.raises(ValueError, match="no list of variants"):
            variants_in(text)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make a workspace with files of the names that scenarios want, but small."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    made = Workspace(tmp_path_factory.mktemp("bench"))
    for folder in (made.root, made.folder / "log"):
        folder.mkdir()
    octets = bytes(range(251)) * 400
    (made.root / SMALL).write_bytes(octets[:700])
    for scenario in SCENARIOS:
        (made.root / scenario.file).write_bytes(octets[: scenario.size])
    return made


@pytest.mark.parametrize(
    ("key", "gso"),
    [("window64", True), ("window64", False), ("storm", True), ("far-window16", True)],
)
def test_the_load_and_the_limit_agree(workspace: Workspace, key: str, *, gso: bool) -> None:
    scenario = attrs.evolve(scenario_named(key), seconds=0.1)
    found = run(scenario, limit(workspace, gso=gso), workspace, 0)
    assert (found.problem, found.note, found.complete) == ("", "", True)
    assert found.load.transfers > 3
    assert (found.load.blksize, found.load.windowsize) == (scenario.blksize, scenario.windowsize)
    assert found.value > 0


def test_the_load_sees_wrong_octets(workspace: Workspace) -> None:
    # The limit maps the file that it served once; what it says is compared with what it should say.
    scenario = attrs.evolve(scenario_named("window16"), seconds=0.1, window_required=False)
    other = workspace.folder / "other"
    other.mkdir()
    octets = bytearray((workspace.root / "kernel").read_bytes())
    (other / SMALL).write_bytes((workspace.root / SMALL).read_bytes())
    octets[50_000] ^= 1
    (other / "kernel").write_bytes(octets)
    server = limit(workspace, gso=True)

    def elsewhere(port: int, uploads: bool) -> list[str]:
        return [str(tool(workspace, "limit")), "--port", str(port), "--root", str(other)]

    found = run(scenario, attrs.evolve(server, command=elsewhere), workspace, 0)
    assert found.problem == "corrupt"


def test_a_server_that_does_not_start_is_a_result(workspace: Workspace) -> None:
    def nothing(port: int, uploads: bool) -> list[str]:
        return ["sh", "-c", "echo no licence >&2; exit 1"]

    server = Server(name="peer", kind="peer", command=nothing, folder=workspace.root)
    found = run(scenario_named("storm"), server, workspace, 0)
    assert found.problem == "does not start: no licence"
    absent = attrs.evolve(server, command=lambda _port, _uploads: ["/no/such/server"])
    found = run(scenario_named("storm"), absent, workspace, 0)
    assert found.problem == "does not start: No such file or directory"
