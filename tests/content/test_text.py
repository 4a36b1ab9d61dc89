from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowowl.content import text
from snowowl.content.errors import ContentError
from snowowl.content.files import identity
from snowowl.content.mapped import MappedFile
from snowowl.content.text import NetasciiSource, TextIndex
from snowowl.wire import netascii

PIECE = 64
"""Here: so that small files have many pieces."""

Opener = Callable[[bytes], NetasciiSource]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE", PIECE)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    held: list[MappedFile] = []

    def open_text(octets: bytes) -> NetasciiSource:
        path = tmp_path / f"file{len(held)}"
        path.write_bytes(octets)
        fd = os.open(path, os.O_RDONLY)
        file = MappedFile(fd, identity(os.fstat(fd)))
        held.append(file)
        index = TextIndex(file)
        while not index.complete:
            index.count(3)
        return NetasciiSource(file, index, MappedFile.close)

    yield open_text
    for file in held:
        file.close()


def mixed(size: int) -> bytes:
    return bytes(random.Random(size).choices(b"ab\r\n\0", k=size))


texts = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40), st.sampled_from([b"\r\n", b"\n" * 70, b"\r" * 70])
    ),
    min_size=1,
    max_size=12,
).map(b"".join)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    octets=texts,
    ranges=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 400)), min_size=1, max_size=6),
    loads=st.booleans(),
)
def test_any_range_is_that_of_the_whole_encoded(
    opened: Opener, octets: bytes, ranges: list[tuple[int, int]], loads: bool
) -> None:
    source = opened(octets)
    whole = netascii.encode(octets)
    assert source.size == len(whole)
    for offset, length in ranges:
        if loads and not source.ready(offset, length):
            source.load(offset, length)
            assert source.ready(offset, length)
        assert source.view(offset, length) == whole[offset : offset + length]
    source.close()


def test_a_transfer_sends_the_whole(opened: Opener) -> None:
    octets = mixed(40 * PIECE)
    source = opened(octets)
    sent = b""
    for offset in range(0, source.size, 200):
        sent += source.view(offset, 200)
    assert sent[: source.size] == netascii.encode(octets)
    assert len(sent) == source.size


def test_another_transfer_takes_no_piece_away(opened: Opener) -> None:
    octets = mixed(200 * PIECE)
    source = opened(octets)
    other = NetasciiSource(source._index._file, source._index, MappedFile.close)
    source.load(0, 100)
    for offset in range(0, other.size, 100):
        other.load(offset, 100)
    assert source.ready(0, 100)
    assert source.view(0, 100) == netascii.encode(octets)[:100]


def test_what_a_transfer_holds_is_not_read_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(b"x" * 10 * PIECE)
    source.load(0, PIECE)
    source._index._encoded.clear()  # others came and went
    encoded: list[int] = []
    real = TextIndex.encode

    def encode(index: TextIndex, piece: int) -> bytes:
        encoded.append(piece)
        return real(index, piece)

    monkeypatch.setattr(TextIndex, "encode", encode)
    source.load(PIECE, PIECE)
    assert encoded == [2]


def test_memory_is_bounded(opened: Opener) -> None:
    source = opened(mixed(200 * PIECE))
    for offset in range(0, source.size, 100):
        source.load(offset, 100)
        assert len(source._pieces) <= 100 // PIECE + 4
    assert len(source._index._encoded) <= 32


def test_a_storm_in_step_reads_each_piece_once(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(mixed(10 * PIECE))
    others = [
        NetasciiSource(source._index._file, source._index, MappedFile.close) for _ in range(5)
    ]
    reads: list[int] = []
    real = MappedFile.read

    def read(file: MappedFile, offset: int, length: int) -> bytes:
        reads.append(offset)
        return real(file, offset, length)

    monkeypatch.setattr(MappedFile, "read", read)
    for offset in range(0, source.size, 100):
        for each in (source, *others):
            each.load(offset, 100)
    assert sorted(reads) == [*range(0, 10 * PIECE, PIECE)]


def test_going_back_within_a_piece_needs_no_loading(opened: Opener) -> None:
    source = opened(b"x" * 10 * PIECE)
    source.load(0, 2 * PIECE)
    source.load(2 * PIECE, PIECE)
    assert source.ready(2 * PIECE - 10, 20)  # a window that is sent again after a loss


@pytest.mark.parametrize("change", [b"\n" * 10 * PIECE, b"short"])
def test_a_changed_file_is_noticed(opened: Opener, tmp_path: Path, change: bytes) -> None:
    source = opened(b"x" * 10 * PIECE)
    (tmp_path / "file0").write_bytes(change)
    with pytest.raises(ContentError) as caught:
        source.load(0, 100)
    assert caught.value.message == "file changed while it was sent"
    if change == b"short":
        with pytest.raises(ContentError):
            source.check()


def test_counting_notices_a_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PIECE))
    fd = os.open(path, os.O_RDONLY)
    file = MappedFile(fd, identity(os.fstat(fd)))
    index = TextIndex(file)
    index.count(1)
    assert not index.complete
    with path.open("ab") as writer:
        writer.write(b"more")
    with pytest.raises(ContentError):
        index.count(1)
    file.close()


def test_a_source_gives_its_file_back_once(opened: Opener) -> None:
    source = opened(b"x\n")
    back: list[MappedFile] = []
    again = NetasciiSource(source._index._file, source._index, back.append)
    again.close()
    again.close()
    assert len(back) == 1
