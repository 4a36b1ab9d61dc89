"""U-Boot (arm64, QEMU) fetches files; the board sums up its own memory."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.netboot.lab import needs, netboot_lab
from tests.netboot.machines import LOAD_ADDRESS, UBOOT, UBootPrompt, uboot_arm64
from tests.netboot.payloads import random_file
from tests.netboot.servers import server_name

pytestmark = [pytest.mark.slow, pytest.mark.netboot, needs("qemu-system-aarch64", UBOOT)]

_NOT_FOUND = 1
_ACCESS_VIOLATION = 2
_BLOCK_TIMEOUT_SECONDS = 5.0  # U-Boot asks for timeout=5 and keeps to it itself


@pytest.mark.parametrize("blksize", [512, 1468])
@pytest.mark.parametrize("windowsize", [1, 8, 64])
def test_every_size_arrives_whole(tmp_path: Path, blksize: int, windowsize: int) -> None:
    around_blocks = (0, 1, blksize - 1, blksize, blksize + 1)
    around_windows = (windowsize * blksize - 1, windowsize * blksize, windowsize * blksize + 1)
    sizes = sorted({*around_blocks, *around_windows, 3_000_017})
    checksums = {size: random_file(tmp_path, f"f{size}", size) for size in sizes}

    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.tune(blksize=blksize, windowsize=windowsize)
        arrived = [board.fetch(f"f{size}") for size in sizes]

    assert arrived == list(checksums.items())


def test_large_windows_reach_a_card_that_can_take_them(tmp_path: Path) -> None:
    checksum = random_file(tmp_path, "kernel", 3_000_017)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64("e1000,romfile=")) as console:
        board = UBootPrompt(console)
        board.tune(blksize=1468, windowsize=64)
        assert board.fetch("kernel") == (3_000_017, checksum)


@pytest.mark.skipif(server_name() == "dnsmasq", reason="dnsmasq does not know windowsize")
def test_options_are_granted_as_asked_and_in_that_order(tmp_path: Path) -> None:
    # U-Boot breaks off when the timeout differs, and believes blksize and windowsize blindly.
    random_file(tmp_path, "kernel", 50_000)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.tune(blksize=1468, windowsize=8)
        board.fetch("kernel")
        answer = lab.answer("kernel")

    (request,) = lab.requests
    options = request.removeprefix(b"\0\1kernel\0octet\0")
    assert options.endswith(b"blksize\x001468\0windowsize\x008\0")
    # The file's size, for builds that ask for it.
    assert answer.payload == b"\0\6" + options.replace(b"tsize\x000\0", b"tsize\x0050000\0")
    # Boot ROMs cannot put fragments together, and some trip over the DF bit.
    assert not any(seen.fragmented for seen in lab.datagrams)
    assert not answer.dont_fragment


def test_dhcp_names_server_and_file(tmp_path: Path) -> None:
    checksum = random_file(tmp_path, "board.img", 700_001)
    with (
        netboot_lab(tmp_path, boot_file="board.img") as lab,
        lab.machine(uboot_arm64()) as console,
    ):
        board = UBootPrompt(console, address=None)
        printed = board.run(f"dhcp {LOAD_ADDRESS:#x}")
        summed = board.run(f"crc32 {LOAD_ADDRESS:#x} ${{filesize}}")

    assert "Bytes transferred = 700001 " in printed
    assert f"==> {checksum:08x}" in summed


def test_what_is_not_there_is_refused_once_and_for_all(tmp_path: Path) -> None:
    # For any code but 1 and 2 U-Boot would start again, for ever.
    (tmp_path / "folder").mkdir()
    names = {
        "missing.img": {_NOT_FOUND},
        "folder": {_NOT_FOUND, _ACCESS_VIOLATION},
        "folder/missing.img": {_NOT_FOUND},
        "../outside": {_NOT_FOUND, _ACCESS_VIOLATION},
    }
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.run("setenv netretry yes")
        for name, codes in names.items():
            printed = board.run(f"tftpboot {LOAD_ADDRESS:#x} {name}", _BLOCK_TIMEOUT_SECONDS)
            refused = re.search(r"TFTP error: '(.+)' \((\d+)\)\nNot retrying", printed)
            assert refused, printed
            assert int(refused[2]) in codes, printed
            assert str(tmp_path) not in refused[1]
        assert len(lab.requests) == len(names)


def test_pxe_probes_are_refused_at_once(tmp_path: Path) -> None:
    # Ten names that are not there, then pxelinux.cfg/default. One lost second each would show.
    (tmp_path / "pxelinux.cfg").mkdir()
    (tmp_path / "pxelinux.cfg/default").write_text("default none\n", encoding="ascii")
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        begun = time.monotonic()
        printed = board.run("pxe get")
        seconds = time.monotonic() - begun

    assert re.search(r"^Config file .* found", printed, re.MULTILINE), printed
    assert printed.count("Not retrying") == 10
    assert seconds < 5


def test_block_numbers_roll_over(tmp_path: Path) -> None:
    size = 65_600 * 512 + 7
    checksum = random_file(tmp_path, "rootfs", size)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.tune(blksize=512, windowsize=16)
        assert board.fetch("rootfs", 90) == (size, checksum)


def test_interrupted_board_starts_again_at_once(tmp_path: Path) -> None:
    # Ctrl-C says nothing to the server: it still sends when the board asks anew.
    random_file(tmp_path, "rootfs", 30_000_000)
    checksum = random_file(tmp_path, "kernel", 200_000)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.tune(blksize=512, windowsize=1)
        board.run("setenv tftpsrcp 2000")  # from the same port, where the build can do that
        console.send(f"tftpboot {LOAD_ADDRESS:#x} rootfs\n")
        console.expect(r"Loading: .*#{5}", 30)
        console.send("\x03")
        console.expect(r"Abort\n(?:.*\n)*?=> ", 10)
        assert board.fetch("kernel", _BLOCK_TIMEOUT_SECONDS) == (200_000, checksum)


def test_boards_boot_side_by_side(tmp_path: Path) -> None:
    checksum = random_file(tmp_path, "rootfs", 20_000_003)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as one:
        board = UBootPrompt(one)
        with lab.machine(uboot_arm64()) as other:
            other_board = UBootPrompt(other, address="192.168.77.21")
            for console in (one, other):
                console.send(f"tftpboot {LOAD_ADDRESS:#x} rootfs\n")
            for console in (one, other):
                console.expect(r"^Bytes transferred = 20000003 (?:.*\n)*?=> ", 60)
            for summing in (board, other_board):
                summed = summing.run(f"crc32 {LOAD_ADDRESS:#x} ${{filesize}}")
                assert f"==> {checksum:08x}" in summed


@pytest.mark.skipif(server_name() != "snowowl", reason="sets an option of snowowl")
def test_windows_can_be_bounded_for_cards_with_few_buffers(tmp_path: Path) -> None:
    # 32 buffers has U-Boot's virtio driver, and it never tells QEMU that it gave one back: a burst
    # of more makes the card deaf, even to ARP, until its next command. No sending again helps.
    root, file = tmp_path / "root", tmp_path / "owl.toml"
    root.mkdir()
    checksum = random_file(root, "kernel", 3_000_017)
    file.write_text("[protocol]\nwindowsize_max = 16\n", encoding="ascii")
    with (
        netboot_lab(root, serve_options=("--config", str(file))) as lab,
        lab.machine(uboot_arm64()) as console,
    ):
        board = UBootPrompt(console)
        board.tune(blksize=1468, windowsize=64)
        assert board.fetch("kernel") == (3_000_017, checksum)
        assert lab.answer("kernel").payload.endswith(b"windowsize\x0016\0")


@needs("nft")
@pytest.mark.parametrize("block", [3, 8, 40])
def test_window_goes_on_at_once_from_a_gap(tmp_path: Path, block: int) -> None:
    # U-Boot acknowledges its last good block at a gap, then waits 5 s. A gap at a window's end it
    # cannot see: there only a timer helps.
    at_the_end = block % 8 == 0
    checksum = random_file(tmp_path, "kernel", 100 * 1468)
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        lab.lose(f"ip protocol udp @th,64,32 {3 << 16 | block:#x}")
        board = UBootPrompt(console)
        board.tune(blksize=1468, windowsize=8)
        begun = time.monotonic()
        assert board.fetch("kernel") == (100 * 1468, checksum)
        seconds = time.monotonic() - begun

    assert seconds < (2 * _BLOCK_TIMEOUT_SECONDS if at_the_end else 2)


def _no_tftpput() -> bool:
    return b"tftpput" not in Path(UBOOT).read_bytes() if Path(UBOOT).exists() else True


@pytest.mark.skipif(_no_tftpput(), reason=f"{UBOOT} has no tftpput: see machines.UBOOT")
@pytest.mark.skipif(server_name() != "snowowl", reason="the stand-ins take no uploads here")
@pytest.mark.parametrize("blksize", [512, 1468])
def test_uploads_are_there_when_the_board_says_so(tmp_path: Path, blksize: int) -> None:
    sizes = (1, blksize - 1, blksize, blksize + 1, 700_001)
    random_file(tmp_path, "memory", max(sizes))
    memory = (tmp_path / "memory").read_bytes()
    with (
        netboot_lab(tmp_path, serve_options=("--writable",)) as lab,
        lab.machine(uboot_arm64()) as console,
    ):
        board = UBootPrompt(console)
        board.tune(blksize=blksize, windowsize=1)
        board.fetch("memory")
        for size in sizes:
            printed = board.run(f"tftpput {LOAD_ADDRESS:#x} {size:#x} up{size}")
            assert re.search(rf"^Bytes transferred = {size} ", printed, re.MULTILINE), printed
            assert (tmp_path / f"up{size}").read_bytes() == memory[:size]


@pytest.mark.skipif(_no_tftpput(), reason=f"{UBOOT} has no tftpput: see machines.UBOOT")
def test_upload_to_a_read_only_server_is_refused_once_and_for_all(tmp_path: Path) -> None:
    with netboot_lab(tmp_path) as lab, lab.machine(uboot_arm64()) as console:
        board = UBootPrompt(console)
        board.run("setenv netretry yes")
        printed = board.run(f"tftpput {LOAD_ADDRESS:#x} 1000 up", _BLOCK_TIMEOUT_SECONDS)
        assert re.search(rf"\({_ACCESS_VIOLATION}\)\nNot retrying", printed), printed
    assert not list(tmp_path.iterdir())
