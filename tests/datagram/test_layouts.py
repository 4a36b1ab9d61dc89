"""How kernels lay things out: as their C headers say."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.datagram import layouts
from snowowl.datagram.layouts import FREEBSD, LINUX, MessageLayout

LAYOUTS = pytest.mark.parametrize("layout", [LINUX, FREEBSD], ids=["linux", "freebsd"])
IS_64_BIT = struct.calcsize("@P") == 8

_PROGRAM = """
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#define AT(member) (int)offsetof(struct mmsghdr, msg_hdr.msg_##member)
int main(void) {
    printf("%d %d %d %d %d %d %d %d %d %d %d %d %d\\n",
           AT(name), AT(namelen), AT(iov), AT(iovlen), AT(control), AT(controllen), AT(flags),
           (int)offsetof(struct mmsghdr, msg_len), (int)sizeof(struct mmsghdr),
           (int)sizeof(struct iovec), (int)sizeof(struct cmsghdr), (int)CMSG_SPACE(5),
           (int)sizeof(struct sockaddr_in6));
    return 0;
}
"""


def offsets(header: struct.Struct) -> list[int]:
    """Return where each member of a header is, found out by writing there."""
    found = []
    for member in range(7):
        numbers = [0] * 7
        numbers[member] = 1
        octets = header.pack(*numbers)
        assert sum(octets) == 1
        at = octets.index(1)
        found.append(at if sys.byteorder == "little" else at // 4 * 4)
    return found


def sizes_of(layout: MessageLayout) -> list[int]:
    return [
        *offsets(layout.header),
        layout.length_at,
        layout.size,
        layouts.IOV.size,
        layout.cmsg.size,
        len(layouts.pack_ancillary(layout, [(1, 2, b"12345")])),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs the headers of Linux")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_linux_as_a_compiler_has_it(tmp_path: Path) -> None:
    source = tmp_path / "layout.c"
    source.write_text(_PROGRAM)
    subprocess.run(["cc", "-o", tmp_path / "layout", source], check=True, timeout=60)
    said = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, timeout=10)
    *sizes, name_size = map(int, said.stdout.split())
    assert sizes_of(LINUX) == sizes
    assert name_size <= layouts.NAME_SIZE


@pytest.mark.skipif(not IS_64_BIT, reason="needs 64 bits")
def test_64_bit() -> None:
    assert sizes_of(LINUX) == [0, 8, 16, 24, 32, 40, 48, 56, 64, 16, 16, 24]
    # <sys/socket.h>: struct msghdr { void *; socklen_t; struct iovec *; int; void *; socklen_t; int },
    # struct mmsghdr { struct msghdr; ssize_t }, struct cmsghdr { socklen_t; int; int }.
    assert sizes_of(FREEBSD) == [0, 8, 16, 24, 32, 40, 44, 48, 56, 16, 12, 24]


@pytest.mark.parametrize(
    ("header", "length", "expected"),
    [
        ("PIPNPNi", "I", (28, 20, 28, 32)),  # Linux: every member has four octets
        ("PIPiPIi", "n", (28, 20, 28, 32)),  # FreeBSD: the same
    ],
)
def test_32_bit(
    header: str, length: str, expected: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the sizes that pointers and `size_t` have there."""
    narrow = str.maketrans("PNn", "III")

    class Narrow:
        calcsize = staticmethod(lambda text: struct.calcsize(text.translate(narrow)))
        pack = staticmethod(lambda text, *numbers: struct.pack(text.translate(narrow), *numbers))
        Struct = staticmethod(lambda text: struct.Struct(text.translate(narrow)))

    monkeypatch.setattr(layouts, "struct", Narrow)
    layout = layouts._layout(header, length, "Iii", bsd_names=False)
    found = (layout.header.size, layout.control_length_at, layout.length_at, layout.size)
    assert found == expected
    assert layout.cmsg.size == 12


def test_the_low_half_of_a_member() -> None:
    big = sys.byteorder == "big"
    assert layouts._low_half("I") == 0
    assert layouts._low_half("Q") == (4 if big else 0)


@LAYOUTS
def test_members_are_picked(layout: MessageLayout) -> None:
    memory = memoryview(bytearray(3 * layout.size))
    for index in range(3):
        at = index * layout.size
        layout.header.pack_into(memory, at, 1, 2, 3, 4, 5, 60 + index, 7)
        struct.pack_into("@I", memory, at + layout.length_at, 500 + index)
    assert layout.pick(memory, layout.control_length_at).tolist() == [60, 61, 62]
    lengths = layout.pick(memory, layout.length_at)
    assert lengths.tolist() == [500, 501, 502]
    lengths[1] = 9
    assert lengths.tolist() == [500, 9, 502]


def test_platforms() -> None:
    assert layouts.layout_of("linux") is LINUX
    assert layouts.layout_of("freebsd14") is FREEBSD
    assert layouts.layout_of("darwin") is None
    assert layouts.layout_of("win32") is None
    assert layouts.layout_of("openbsd7") is None


entries = st.lists(
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31 - 1), st.binary(max_size=40))
)


@LAYOUTS
@given(entries)
def test_ancillary_data_comes_back(
    layout: MessageLayout, ancillary: list[tuple[int, int, bytes]]
) -> None:
    packed = layouts.pack_ancillary(layout, ancillary)
    assert len(packed) % layouts.CMSG_ALIGNMENT == 0
    assert layouts.unpack_ancillary(layout, packed) == ancillary


@LAYOUTS
@given(entries, st.integers(1, 200))
def test_what_is_cut_off_is_left_out(
    layout: MessageLayout, ancillary: list[tuple[int, int, bytes]], cut: int
) -> None:
    packed = layouts.pack_ancillary(layout, ancillary)
    found = layouts.unpack_ancillary(layout, packed[:-cut])
    assert found == ancillary[: len(found)]


@LAYOUTS
@given(st.binary(max_size=200))
def test_any_octets_are_ancillary_data(layout: MessageLayout, octets: bytes) -> None:
    found = layouts.unpack_ancillary(layout, octets)
    assert sum(len(data) for _, _, data in found) <= len(octets)


@LAYOUTS
@pytest.mark.parametrize("length", [0, 1, 11, 2**31 - 1, 2**32 - 1])
def test_a_length_that_cannot_be(layout: MessageLayout, length: int) -> None:
    octets = layout.cmsg.pack(length, 1, 2) + bytes(64)
    assert layouts.unpack_ancillary(layout, octets) == []


def test_names_of_bsd() -> None:
    family = (28).to_bytes(2, sys.byteorder)
    ours = family + b"\0\x45" + bytes(24)
    assert layouts.to_bsd(ours) == b"\x1c\x1c\0\x45" + bytes(24)
    assert layouts.from_bsd(layouts.to_bsd(ours)) == ours
    assert layouts.to_bsd(b"\xff" * 16)[:2] == b"\x10\xff"
