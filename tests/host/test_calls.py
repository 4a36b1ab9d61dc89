"""System calls by hand: what is refused is an OSError with the kernel's number."""

from __future__ import annotations

import errno
import sys

import pytest

from snowowl.host import calls

linux = pytest.mark.skipif(sys.platform != "linux", reason="the calls are of Linux")


@linux
def test_what_prctl_answers() -> None:
    get_dumpable = 3
    assert calls.prctl(get_dumpable) in (0, 1, 2)


@linux
def test_what_is_refused() -> None:
    with pytest.raises(OSError) as caught:
        calls.prctl(0x7FFF_FFFF)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError) as caught:
        calls.syscall(9999)
    assert caught.value.errno == errno.ENOSYS
    for call in (calls.capset, calls.capget):
        with pytest.raises(OSError) as caught:
            call(0, 0)
        assert caught.value.errno == errno.EFAULT


def test_another_system_has_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_LINUX", False)
    calls._library.cache_clear()
    for call in (lambda: calls.prctl(3), lambda: calls.syscall(39), lambda: calls.capset(0, 0)):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.ENOSYS
    calls._library.cache_clear()
