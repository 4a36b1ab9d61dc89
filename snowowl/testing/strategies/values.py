"""The numbers of TFTP, drawn around the edges where programs go wrong.  No packets here."""

from __future__ import annotations

from functools import cache
from typing import Final

from hypothesis import strategies as st

from snowowl.testing.strategies.octets import brief

EDGE_NUMBERS: Final = (0, 1, 2, 255, 256, 32766, 32767, 32768, 65534, 65535)
"""Block numbers beside the ends of 8, 15 and 16 bits, where counters wrap and signs appear."""

EDGE_BLKSIZES: Final = (8, 512, 1428, 1468, 1469, 65464)
"""The least and the most of RFC 2348; RFC 1350's; what fits an Ethernet frame with IPv4 options
(1428, what PXE ROMs ask for) and without (1468), and the first that does not."""

EDGE_VALUES: Final = (
    *(0, 1, 7, 8, 255, 256, 512, 1428, 1468, 1469, 32768, 65464, 65465, 65535, 65536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63),
)
"""Values beside the limits of options (RFC 2348, 2349, 7440) and of machine words."""

_HUGE: Final = brief(b"9" * 4301)
"""More digits than `int` of Python takes, and than any buffer for a number holds."""


def block_numbers(*, near: int | None = None, reach: int = 2) -> st.SearchStrategy[int]:
    """Return 16-bit block numbers, the edges more often; around one, modulo 65536, if `near`.

    >>> from hypothesis import find
    >>> find(block_numbers(near=65535, reach=1), lambda number: number < 65534)
    0
    """
    if near is not None:
        return st.integers(-reach, reach).map(lambda step: (near + step) % 65536)
    return st.one_of(st.sampled_from(EDGE_NUMBERS), st.integers(0, 65535))


@cache
def blksizes() -> st.SearchStrategy[int]:
    """Return sizes of blocks in octets, 8 to 65464 (RFC 2348), the edges more often."""
    return st.one_of(st.sampled_from(EDGE_BLKSIZES), st.integers(8, 65464))


@cache
def windowsizes() -> st.SearchStrategy[int]:
    """Return sizes of windows in blocks, 1 to 65535 (RFC 7440), small ones more often."""
    edges = st.sampled_from((1, 2, 3, 4, 8, 16, 64, 65535))
    return st.one_of(edges, st.integers(1, 64), st.integers(1, 65535))


def sizes(*, blksize: int = 512, blocks_max: int = 3) -> st.SearchStrategy[int]:
    """Return sizes of files in octets: n blocks, one octet less, one more; n up to `blocks_max`.

    A file of n whole blocks ends in an empty one (RFC 1350 section 6), which is often forgotten.

    >>> from hypothesis import find
    >>> find(sizes(blksize=8), lambda size: size % 8 == 1)
    1
    """
    exact = st.integers(0, blocks_max).map(lambda count: count * blksize)
    steps = st.sampled_from((0, -1, 1))
    return st.builds(lambda size, step: max(0, size + step), exact, steps)


@cache
def odd_numbers() -> st.SearchStrategy[bytes]:
    """Return octets where a number should be: what some parser takes for one, and others do not.

    Signed, padded, hexadecimal, exponential, grouped, in digits of another script, with a unit, too
    large for any integer, empty; RFC 2347 wants ASCII digits.
    """
    number = st.one_of(st.sampled_from(EDGE_VALUES), st.integers(0, 70000))
    spellings = (
        *(b"-%d", b"+%d", b" %d", b"%d ", b"\t%d", b"%d\n", b"0x%x", b"0%o", b"%08d", b"%d.0"),
        *(b"%de0", b"%dk", b"%d,5", b"%d_0", b"%d\xff", b"%%%d", b"\xef\xbc\x98%d"),
    )
    spelled = st.builds(
        lambda spelling, value: spelling % value, st.sampled_from(spellings), number
    )
    return st.one_of(st.sampled_from((b"", b"abc", b"NaN", b"0", b"-0", _HUGE)), spelled)


@cache
def option_values() -> st.SearchStrategy[bytes]:
    """Return values of options: numbers at the edges of ranges, and what is no number."""
    numbers = st.one_of(st.sampled_from(EDGE_VALUES), st.integers(0, 2**64))
    noise = st.binary(max_size=25).map(lambda octets: octets.replace(b"\0", b""))
    return st.one_of(numbers.map(lambda number: b"%d" % number), odd_numbers(), noise)
