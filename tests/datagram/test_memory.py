"""Where octets lie: the address is the one that a system call would see."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from pathlib import Path

import pytest

from snowowl.datagram import memory
from snowowl.datagram.interface import Region
from snowowl.datagram.memory import Buffer, address_of, arena


@pytest.mark.parametrize(
    "octets", [b"octets", bytearray(b"octets"), memoryview(b"octets"), memoryview(b"_octets_")[1:7]]
)
def test_the_octets_are_at_the_address(octets: Buffer) -> None:
    assert ctypes.string_at(address_of(octets), 6) == b"octets"


def test_a_mapped_file_which_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 1000)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    view = memoryview(mapped)
    region = Region(view)
    assert ctypes.string_at(region.address + 5000, 10) == b"0123456789"
    assert address_of(region.view[7:]) == region.address + 7
    region.view.release()
    view.release()
    mapped.close()  # raises BufferError if an address held on to it


def test_asking_keeps_nothing() -> None:
    octets = bytearray(b"octets")
    before = sys.getrefcount(octets)
    for _ in range(100):
        address_of(octets)
    octets += b"may grow"
    assert sys.getrefcount(octets) == before


@pytest.mark.parametrize("octets", [b"", bytearray(), memoryview(b"x")[1:]])
def test_where_no_octet_is(octets: Buffer) -> None:
    assert address_of(octets) == 0
    assert Region(octets).address == 0


def test_a_python_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KNOWN", False)
    assert address_of(b"octets") == 0


def test_a_region_holds_its_octets() -> None:
    region = Region(bytes(range(256)) * 4096)
    gc.collect()
    assert ctypes.string_at(region.address + 256, 256) == bytes(range(256))


def test_an_arena_is_empty_and_its_own() -> None:
    octets = arena(10_000)
    assert len(octets) == 10_000
    assert not any(octets)
    octets[5] = 7
    assert not any(arena(10_000))
    assert ctypes.string_at(address_of(octets), 10)[5] == 7


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_an_arena_costs_what_is_touched() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = resident()
    arenas = [arena(4 << 20) for _ in range(100)]
    for octets in arenas:
        octets[0] = 1
    assert resident() - before < 4 << 20


def test_too_much_memory_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError):
        arena(1 << 60)
