"""The journal's socket: entries as journald reads them, and nothing that waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.host.journal import VALUE_MAX, Journal, encode_entry


def decode(octets: bytes) -> list[tuple[str, bytes]]:
    """Read an entry as systemd's Native Journal Protocol says."""
    fields = []
    while octets:
        line, _, octets = octets.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(octets[:8], "little")
            value, end, octets = (
                octets[8 : 8 + size],
                octets[8 + size : 9 + size],
                octets[9 + size :],
            )
            assert len(value) == size
            assert end == b"\n"
        fields.append((name.decode(), value))
    return fields


@given(st.lists(st.tuples(st.sampled_from(["MESSAGE", "SNOWOWL_FILE"]), st.text())))
def test_what_is_said_is_what_is_read(fields: list[tuple[str, str]]) -> None:
    read = decode(encode_entry(fields))
    assert read == [(name, text.encode("utf-8", "backslashreplace")) for name, text in fields]


def test_a_line_of_a_value_is_no_field() -> None:
    entry = encode_entry([("MESSAGE", "a\nPRIORITY=0"), ("PRIORITY", "6")])
    assert decode(entry) == [("MESSAGE", b"a\nPRIORITY=0"), ("PRIORITY", b"6")]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture
def journald(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        yield sock


def test_entries_arrive(path: str, journald: socket.socket) -> None:
    journal = Journal(path)
    assert journal.send([("MESSAGE", "one")])
    assert journal.send([("MESSAGE", "x" * 2 * VALUE_MAX)] * 9)  # cut: it fits nevertheless
    assert decode(journald.recv(1 << 20)) == [("MESSAGE", b"one")]
    assert decode(journald.recv(1 << 20)) == [("MESSAGE", b"x" * VALUE_MAX)] * 9
    assert (journal.dropped, journal.lost) == (0, 0)
    journal.close()
    journal.close()


def test_no_journal(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(path)


def test_a_full_one_loses_entries_at_once(path: str, journald: socket.socket) -> None:
    journal = Journal(path)
    sent = 0
    while journal.send([("MESSAGE", "x" * 1000)]):
        sent += 1
        assert sent < 10_000
    assert not journal.send([("MESSAGE", "y")])
    assert (journal.dropped, journal.lost) == (2, 2)
    for _ in range(sent):
        journald.recv(1 << 20)
    assert journal.send([("MESSAGE", "z")])
    assert decode(journald.recv(1 << 20)) == [("MESSAGE", b"z")]
    journal.close()


def test_a_journal_that_was_started_anew_is_found(path: str, journald: socket.socket) -> None:
    journal = Journal(path)
    journald.close()
    assert not journal.send([("MESSAGE", "lost")])
    Path(path).unlink()
    assert not journal.send([("MESSAGE", "lost")])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(path)
        assert journal.send([("MESSAGE", "found")])
        assert decode(again.recv(1 << 20)) == [("MESSAGE", b"found")]
    journal.close()
