from __future__ import annotations

from snowowl.content.source import BytesSource


def test_octets_in_memory_are_always_ready() -> None:
    source = BytesSource(b"0123456789")
    assert source.size == 10
    assert source.ready(0, 10)
    source.load(0, 10)
    source.check()
    assert bytes(source.view(8, 5)) == b"89"
    view = source.view(0, 10)
    source.close()
    source.close()
    assert bytes(view) == b"0123456789"


def test_octets_in_memory_are_not_copied() -> None:
    octets = bytes(range(64))
    source = BytesSource(octets)
    assert source.whole.view.obj is octets
    assert source.whole.file is None
