"""The machines that boot: QEMU with the firmware of Debian's packages, serial console on its pipes.

Everything is emulated (`-accel tcg`): the trials need no /dev/kvm, and take the same time with it.
No machine gets a disk that outlives it, or a network beside the lab's tap.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.netboot.fatdisk import fat_disk
from tests.netboot.lab import NETMASK, Machine
from tests.netboot.program import Program
from tests.netboot.servers import ADDRESS

IPXE_ROM = "/usr/lib/ipxe/qemu/pxe-virtio.rom"  # Debian ipxe-qemu
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"  # Debian ovmf
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
# Debian u-boot-qemu. Its builds have no tftpput: an own one can be named in the environment.
UBOOT = os.environ.get("SNOWOWL_NETBOOT_UBOOT", "/usr/lib/u-boot/qemu_arm64/u-boot.bin")
LOAD_ADDRESS = 0x42000000
_BARE = "-accel tcg -m 256 -nodefaults -no-reboot -display none -monitor none -serial stdio"


def _network(tap: str, mac: str, device: str) -> list[str]:
    back = f"tap,id=net,ifname={tap},script=no,downscript=no"
    return ["-netdev", back, "-device", f"{device},netdev=net,mac={mac}"]


def bios_pxe(device: str = "virtio-net-pci") -> Machine:
    """A PC with a BIOS whose network card carries iPXE as its option ROM."""
    # graphics=off: SeaBIOS copies the screen to the serial port.
    words = f"qemu-system-x86_64 -machine pc,graphics=off -vga none -boot n {_BARE}".split()
    return lambda tap, mac: [*words, *_network(tap, mac, device)]


def uboot_arm64(device: str = "virtio-net-device") -> Machine:
    """An arm64 board that runs U-Boot.

    Not with virtio-net-pci: from that U-Boot 2023.01 reads the MAC address 52:52:52:52:52:52, and two
    boards on a bridge take each other's datagrams.
    """
    words = f"qemu-system-aarch64 -machine virt -cpu cortex-a57 {_BARE}".split()
    return lambda tap, mac: [
        *words,
        *("-bios", UBOOT),
        *_network(tap, mac, device),
    ]


def uefi(folder: Path, *, disk: Mapping[str, bytes] | None = None) -> Machine:
    """A UEFI PC that boots from its network or, with `disk`, starts its shell, and `startup.nsh` there.

    The disk is FAT, writable. Disk and variables are files in `folder`, new for each start.
    """
    variables, image = folder / "variables.fd", folder / "disk.img"
    flash = "if=pflash,format=raw"
    words = f"qemu-system-x86_64 -machine q35 {_BARE}".split()
    words += ["-drive", f"{flash},unit=0,readonly=on,file={OVMF_CODE}"]
    words += ["-drive", f"{flash},unit=1,file={variables}"]
    # Without iPXE's ROM: the card is driven, and TFTP is spoken, by EDK2 itself.
    card = "virtio-net-pci,romfile="
    if disk is None:
        card += ",bootindex=1"
    else:
        # Nothing can be booted from it. But its boot index, alone on this machine, keeps EDK2 from
        # the network: what is left to start is the shell.
        words += ["-drive", f"if=none,id=disk,format=raw,file={image}"]
        words += ["-device", "virtio-blk-pci,drive=disk,bootindex=1"]

    def command(tap: str, mac: str) -> Sequence[str]:
        shutil.copyfile(OVMF_VARS, variables)
        if disk is not None:
            image.write_bytes(fat_disk(disk))
        return [*words, *_network(tap, mac, card)]

    return command


class UBootPrompt:
    """U-Boot's command line: run a command, get what it printed."""

    def __init__(self, console: Program, *, address: str | None = "192.168.77.20") -> None:
        """Stop the automatic boot; take `address` unless it is None (then DHCP is to be asked)."""
        self._console = console
        console.expect(r"Hit any key to stop autoboot", 60)
        console.send("\n")
        console.expect(r"^=> ", 10)
        # Otherwise a failed transfer starts again for ever.
        self.run("setenv netretry no")
        if address is not None:
            self.run(f"setenv ipaddr {address}")
            self.run(f"setenv netmask {NETMASK}")
            self.run(f"setenv serverip {ADDRESS}")

    def run(self, command: str, seconds: float = 30.0) -> str:
        """Run a command and return what it printed; raises ConsoleTimeoutError after `seconds`."""
        self._console.send(command + "\n")
        printed = self._console.expect(rf"{re.escape(command)}\n((?:.*\n)*?)=> ", seconds)
        return printed[1]

    def tune(self, *, blksize: int, windowsize: int) -> None:
        """Set the options that the next requests ask for."""
        self.run(f"setenv tftpblocksize {blksize}")
        self.run(f"setenv tftpwindowsize {windowsize}")

    def fetch(self, name: str, seconds: float = 30.0) -> tuple[int, int]:
        """Fetch a file; return size and CRC-32 as the board sees them. AssertionError if it failed."""
        self.run("setenv filesize")
        printed = self.run(f"tftpboot {LOAD_ADDRESS:#x} {name}", seconds)
        assert re.search(r"^done$", printed, re.MULTILINE), printed
        size = re.search(r"^Bytes transferred = (\d+)", printed, re.MULTILINE)
        if size is None:  # U-Boot prints no size, and crc32 takes no length, for an empty file
            return 0, 0
        summed = self.run(f"crc32 {LOAD_ADDRESS:#x} {int(size[1]):#x}", seconds)
        checksum = re.search(r"==> ([0-9a-f]{8})$", summed, re.MULTILINE)
        assert checksum, summed
        return int(size[1]), int(checksum[1], 16)
