"""The boards of a lab: what real ones ask for, in which order, and how they behave.

What each does was seen with the real client, or read in its source: U-Boot, EDK2 (UEFI), GRUB, the
boot ROM of a Raspberry Pi, iPXE, lwIP, and switches that fetch and store configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import attrs

from tests.sim.rom import Habits

Verb = Literal["fetch", "probe", "miss", "store", "abandon"]


@attrs.frozen
class Step:
    """One file of a boot.  `miss`: it is not there, and the board goes on without it."""

    verb: Verb
    name: str
    habits: Habits
    code: int = 0
    """The ERROR by which a probe or an abandoned transfer is broken off."""
    size: int = 0
    """Octets of what is stored, at most."""


@attrs.frozen
class Kind:
    """A kind of board."""

    name: str
    steps: Callable[[int], Iterator[Step]]
    port: int = 0
    """The port that it always asks from; 0: another one each time."""
    buffer: float = float("inf")
    """Datagrams that its receive buffer holds."""


FILES: Final = {
    "uboot/boot.scr": 700,
    "uboot/Image": 210_000,
    "uboot/board.dtb": 19_000,
    "uefi/BOOTX64.EFI": 75_000,
    "uefi/grub.cfg": 1_900,
    "uefi/vmlinuz": 145_000,
    "uefi/initrd.img": 115_000,
    "rpi/start4.elf": 130_000,
    "rpi/fixup4.dat": 5_400,
    "rpi/kernel8.img": 150_000,
    "ipxe/boot.ipxe": 900,
    "ipxe/bzImage": 170_000,
    "mcu/firmware.bin": 45_000,
    "switch/network-confg": 6_000,
    "switch/image.bin": 30_000,
}
"""What the server has, and sizes in octets: a part of real ones, so that a day has more boots."""

_UBOOT: Final = Habits(timeout=5, tsize=True, blksize=1468, windowsize=8, wait=5.0, tries=10)
_UEFI_PROBE: Final = Habits(tsize=True, blksize=1468, windowsize=4, wait=4.0, tries=6)
_UEFI: Final = Habits(blksize=1468, windowsize=4, wait=4.0, tries=6)
_GRUB: Final = Habits(blksize=1024, tsize=True, wait=0.4, tries=18, acks_old=True, thinks=0.001)
_RPI: Final = Habits(tsize=True, blksize=1024, wait=1.0, tries=8)
_IPXE: Final = Habits(blksize=1432, tsize=True, wait=1.0, tries=8)
_LWIP: Final = Habits(tsize=True, blksize=1468, wait=1.0, tries=5)
_SWITCH: Final = Habits(wait=3.0, tries=6)


def _uboot(number: int) -> Iterator[Step]:
    yield Step("fetch", "uboot/boot.scr", _UBOOT)
    yield Step("miss", f"uboot/uEnv-{number:04x}.txt", _UBOOT)
    yield Step("fetch", "uboot/Image", _UBOOT)
    yield Step("fetch", "uboot/board.dtb", _UBOOT)
    yield Step("store", f"logs/uboot-{number}.log", _UBOOT, size=9_000)


def _uefi(number: int) -> Iterator[Step]:
    yield Step("probe", "uefi/BOOTX64.EFI", _UEFI_PROBE, code=8)
    yield Step("fetch", "uefi/BOOTX64.EFI", _UEFI)
    address = f"{0xC0000200 + number:08X}"
    yield Step("miss", f"uefi/grub.cfg-01-52-54-00-00-{number >> 8:02x}-{number & 255:02x}", _GRUB)
    for length in range(8, 0, -1):  # GRUB looks for a configuration of its own first: nine names
        yield Step("miss", f"uefi/grub.cfg-{address[:length]}", _GRUB)
    yield Step("fetch", "uefi/grub.cfg", _GRUB)
    yield Step("abandon", "uefi/vmlinuz", _GRUB)  # looks at its header, and closes it
    yield Step("fetch", "uefi/vmlinuz", _GRUB)
    yield Step("fetch", "uefi/initrd.img", _GRUB)


def _rpi(number: int) -> Iterator[Step]:
    yield Step("miss", f"{number:08x}/start4.elf", _RPI)
    yield Step("abandon", "rpi/start4.elf", _RPI)
    yield Step("fetch", "rpi/start4.elf", _RPI)
    yield Step("miss", "rpi/recovery.elf", _RPI)
    yield Step("fetch", "rpi/fixup4.dat", _RPI)
    yield Step("probe", "rpi/kernel8.img", _RPI)
    yield Step("fetch", "rpi/kernel8.img", _RPI)


def _ipxe(number: int) -> Iterator[Step]:
    del number
    yield Step("fetch", "ipxe/boot.ipxe", _IPXE)
    yield Step("fetch", "ipxe/bzImage", _IPXE)


def _mcu(number: int) -> Iterator[Step]:
    yield Step("fetch", "mcu/firmware.bin", _LWIP)
    yield Step("store", f"logs/mcu-{number}.bin", attrs.evolve(_LWIP, tsize=False), size=3_000)


def _switch(number: int) -> Iterator[Step]:
    yield Step("fetch", "switch/network-confg", _SWITCH)
    yield Step("fetch", "switch/image.bin", _SWITCH)
    yield Step("store", f"configs/switch-{number}", _SWITCH, size=12_000)


KINDS: Final = (
    Kind("U-Boot", _uboot),
    Kind("U-Boot, one port", _uboot, port=2000, buffer=32),
    Kind("UEFI and GRUB", _uefi),
    Kind("Raspberry Pi", _rpi, buffer=4),
    Kind("iPXE", _ipxe),
    Kind("lwIP", _mcu, buffer=2),
    Kind("switch", _switch),
)
