"""The judge of differences: what it lets pass, and what it does not.  No server runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential import differences, stage
from tests.differential.catalogue import ALL
from tests.differential.differences import Difference, Judgement, Listed, Reason
from tests.differential.run import chosen
from tests.differential.talk import described, joined

REASON = Reason("both", "RFC 0", "It is so because this is a test, and long enough to be believed.")
ENTRY = Difference("a", "peer", "DATA 1", "ERROR 1", "because")
LISTED = Listed({"because": REASON}, (ENTRY,))


def verdict(snowowl: str, theirs: str, entry: Difference | None) -> str:
    return Judgement("a", "peer", snowowl, theirs, entry).verdict


def test_the_list_that_we_have_is_in_order() -> None:
    listed = differences.load()
    assert not list(differences.faults(listed, {case.name for case in ALL}, stage.PEERS))
    # As --write would leave it, so that it changes only what has changed.
    assert differences.FILE.read_text(encoding="utf-8") == differences.written(listed)


def test_a_difference_passes_only_as_it_is_listed() -> None:
    assert verdict("DATA 1", "DATA 1", None) == "alike"
    assert verdict("DATA 1", "ERROR 1", ENTRY) == "explained"
    assert verdict("DATA 1", "ERROR 1", None) == "unexplained"
    assert verdict("DATA 1", "ERROR 2", ENTRY) == "changed"
    assert verdict("DATA 2", "ERROR 1", ENTRY) == "changed"
    assert verdict("DATA 1", "DATA 1", ENTRY) == "gone"
    unreasoned = Difference("a", "peer", "DATA 1", "ERROR 1")
    assert verdict("DATA 1", "ERROR 1", unreasoned) == "unexplained"
    assert [Judgement("a", "peer", "1", theirs, None).good for theirs in "12"] == [True, False]


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        (Listed({}, (Difference("a", "peer", "1", "2"),)), "has no reason"),
        (Listed({}, (Difference("a", "peer", "1", "2", "so"),)), "there is no reason 'so'"),
        (Listed({"because": REASON}, ()), "nothing refers to it"),
        (Listed({"because": Reason("both", "RFC 0", "so")}, (ENTRY,)), "explains nothing"),
        (Listed({"because": Reason("both", "", REASON.why)}, (ENTRY,)), "explains nothing"),
        (Listed({"because": REASON}, (ENTRY, ENTRY)), "is there twice"),
        (
            Listed({"because": REASON}, (Difference("b", "peer", "1", "2", "because"),)),
            "there is no such case",
        ),
        (
            Listed({"because": REASON}, (Difference("a", "pear", "1", "2", "because"),)),
            "there is no such peer",
        ),
        (
            Listed({"because": REASON}, (Difference("a", "peer", "1", "1", "because"),)),
            "is no difference",
        ),
    ],
)
def test_what_is_wrong_with_a_list_is_told(listed: Listed, fault: str) -> None:
    assert [text for text in differences.faults(listed, {"a"}, {"peer"}) if fault in text]
    assert not list(differences.faults(LISTED, {"a"}, {"peer"}))


def test_revising_keeps_reasons_of_what_stayed_and_asks_for_others() -> None:
    observed = {
        "a": {"snowowl": "DATA 1", "peer": "ERROR 1", "other": "DATA 1"},
        "b": {"snowowl": "ACK 0", "peer": "nothing"},
    }
    gone = Difference("a", "other", "DATA 1", "ERROR 1", "because")
    unplayed = Difference("c", "peer", "ACK 0", "ERROR 6", "because")
    listed = Listed({"because": REASON}, (unplayed, gone, ENTRY))
    judgements = list(differences.judged(observed, "snowowl", listed))
    assert [each.verdict for each in judgements] == ["gone", "explained", "unexplained"]
    revised = differences.revised(listed, judgements, ["a", "b", "c"])
    new = Difference("b", "peer", "ACK 0", "nothing")
    assert revised.difference == (ENTRY, new, unplayed)
    changed = {"a": {"snowowl": "DATA 1", "peer": "ERROR 2"}}
    again = differences.judged(changed, "snowowl", revised)
    reason = differences.revised(revised, again, ["a"]).of("a", "peer")
    assert reason == Difference("a", "peer", "DATA 1", "ERROR 2", "")


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = Difference("a", "peer", 'b"\\x00"', "\N{SNOWMAN} \\", "because")
    listed = Listed({"because": REASON}, (odd,))
    file = tmp_path / "list.toml"
    file.write_text(differences.written(listed), encoding="utf-8")
    assert differences.load(file) == listed


@pytest.mark.parametrize(
    "text", ["[[difference]]\ncase = 1", "nonsense = 1", "[reasons.x]\nright = 'us'", "["]
)
def test_what_is_no_list_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "list.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"list\.toml: "):
        differences.load(file)
    with pytest.raises(ValueError, match="No such file"):
        differences.load(tmp_path / "none.toml")


def test_the_catalogue_has_each_case_once_and_patterns_choose() -> None:
    names = [case.name for case in ALL]
    assert len(names) == len(set(names))
    assert {case.name for case in chosen(["blksize-8", "ack-*"], heavy=False)} >= {
        "blksize-8",
        "ack-duplicate",
    }
    assert not chosen(["nothing-like-it"], heavy=True)
    assert not any(case.heavy for case in chosen([], heavy=False))
    assert any(case.heavy for case in chosen([], heavy=True))


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"\0\3\0\1abc", "DATA 1 (3)"),
        (b"\0\4\1\0", "ACK 256"),
        (b"\0\4\1\0x", "5 octets 00 04 01 00 78"),
        (b"\0\5\0\2no\0", "ERROR 2"),
        (b"\0\5\0\2no", "ERROR 2 with a text that does not end"),
        (b"\0\6b\0002\0a\0001\0", "OACK a=1 b=2"),
        (b"\0\6a\0001\0b\0", "OACK a=1 and a half"),
        (b"\0", "1 octets 00"),
    ],
)
def test_datagrams_are_put_in_words_that_compare(octets: bytes, words: str) -> None:
    assert described(octets) == words


def test_several_answers_are_one_observation() -> None:
    assert joined([]) == "nothing"
    assert joined(["ACK 1", "ACK 1", "ACK 2", "ACK 1"]) == "ACK 1 x2, ACK 2, ACK 1"
