from __future__ import annotations

import errno

import pytest

from snowowl.content.errors import ContentError, from_os_error
from snowowl.wire.constants import ErrorCode


@pytest.mark.rule("R12")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, ErrorCode.FILE_NOT_FOUND),
        (errno.ENOTDIR, ErrorCode.FILE_NOT_FOUND),
        (errno.ENAMETOOLONG, ErrorCode.FILE_NOT_FOUND),
        (errno.EACCES, ErrorCode.ACCESS_VIOLATION),
        (errno.EPERM, ErrorCode.ACCESS_VIOLATION),
        (errno.ELOOP, ErrorCode.ACCESS_VIOLATION),
        (errno.EXDEV, ErrorCode.ACCESS_VIOLATION),
        (errno.EROFS, ErrorCode.ACCESS_VIOLATION),
        (errno.EISDIR, ErrorCode.ACCESS_VIOLATION),
        (errno.ENXIO, ErrorCode.ACCESS_VIOLATION),
        (errno.ENOSPC, ErrorCode.DISK_FULL),
        (errno.EDQUOT, ErrorCode.DISK_FULL),
        (errno.EFBIG, ErrorCode.DISK_FULL),
        (errno.EEXIST, ErrorCode.FILE_EXISTS),
        (errno.EMFILE, ErrorCode.NOT_DEFINED),
        (errno.ENOMEM, ErrorCode.NOT_DEFINED),
        (errno.EIO, ErrorCode.NOT_DEFINED),
    ],
)
def test_every_error_of_the_system_has_its_tftp_code(number: int, code: ErrorCode) -> None:
    assert from_os_error(OSError(number, "why"), "").code is code


def test_running_out_of_descriptors_tells_the_client_to_try_again() -> None:
    error = from_os_error(OSError(errno.EMFILE, "Too many open files"), "opening")
    assert error.message == "server is out of resources, try again"


def test_the_message_names_no_path_and_the_detail_no_raw_octets() -> None:
    # SECURITY.md 20: servers have sent the absolute path of their root.
    error = from_os_error(
        OSError(errno.ENOENT, "No such file or directory", "/srv/tftp/a\nb"), "'a'"
    )
    assert error.message == "file not found"
    assert error.detail == "'a': No such file or directory"
    assert "/srv" not in str(error)
    assert "\n" not in str(error)


def test_an_error_without_number_or_detail_is_told_too() -> None:
    error = from_os_error(OSError("odd"), "")
    assert (error.code, error.message) == (ErrorCode.NOT_DEFINED, "input or output error")
    assert error.detail == "OSError"
    assert str(ContentError(ErrorCode.DISK_FULL, "full")) == "full"
