"""A PC boots from its network card: iPXE in the card's ROM, then PXELINUX through it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.netboot.lab import needs, netboot_lab
from tests.netboot.machines import IPXE_ROM, bios_pxe
from tests.netboot.payloads import random_file, sum_up_kernel, sum_up_line
from tests.netboot.servers import ADDRESS_V6, server_name

_PXELINUX = "/usr/lib/PXELINUX/pxelinux.0"  # Debian pxelinux
_MODULES = "/usr/lib/syslinux/modules/bios"  # Debian syslinux-common

pytestmark = [pytest.mark.slow, pytest.mark.netboot, needs("qemu-system-x86_64", IPXE_ROM)]

_BOOT_SECONDS = 60.0
# Around iPXE's block size of 1432 octets, and a few MiB.
_SIZES = (0, 1, 1431, 1432, 1433, 4_000_001)


def _script(root: Path, *lines: str) -> None:
    text = "".join(f"{line}\n" for line in ("#!ipxe", *lines))
    (root / "boot.ipxe").write_text(text, encoding="ascii")


@pytest.mark.parametrize("card", ["virtio-net-pci", "e1000"])
def test_ipxe_boots_a_script_a_kernel_and_its_modules(tmp_path: Path, card: str) -> None:
    checksums = {size: random_file(tmp_path, f"f{size}", size) for size in _SIZES}
    (tmp_path / "kernel").write_bytes(sum_up_kernel())
    modules = (f"module f{size}" for size in _SIZES)
    _script(tmp_path, "echo owl says hello", "kernel kernel", *modules, "boot")

    with (
        netboot_lab(tmp_path, boot_file="boot.ipxe") as lab,
        lab.machine(bios_pxe(card)) as console,
    ):
        console.expect(r"^owl says hello$", _BOOT_SECONDS)
        for size, checksum in checksums.items():
            console.expect(rf"^(?:.*\D)?{sum_up_line(size, checksum)}$", _BOOT_SECONDS)
        console.expect(r"^\.$", _BOOT_SECONDS)


def test_ipxe_goes_on_at_once_when_a_file_is_missing(tmp_path: Path) -> None:
    random_file(tmp_path, "there", 5000)
    _script(
        tmp_path,
        "imgfetch missing || echo owl error ${errno:hexraw}",
        "imgfetch there && echo owl goes on || echo owl is stuck",
    )
    with netboot_lab(tmp_path, boot_file="boot.ipxe") as lab, lab.machine(bios_pxe()) as console:
        # iPXE's ENOENT, which it makes of TFTP error 1 only (https://ipxe.org/2d12603b).
        console.expect(r"owl error 2d12603b", _BOOT_SECONDS)
        console.expect(r"^owl goes on$", 5)


@pytest.mark.skipif(server_name() != "snowowl", reason="the stand-ins listen on IPv4 only")
def test_ipxe_boots_over_ipv6(tmp_path: Path) -> None:
    checksum = random_file(tmp_path, "initrd", 1_000_003)
    (tmp_path / "kernel").write_bytes(sum_up_kernel())
    url = f"tftp://[{ADDRESS_V6}]"
    _script(tmp_path, f"kernel {url}/kernel", f"module {url}/initrd", "boot")

    with netboot_lab(tmp_path, boot_file="boot.ipxe") as lab, lab.machine(bios_pxe()) as console:
        console.expect(sum_up_line(1_000_003, checksum), _BOOT_SECONDS)
        assert lab.answer("initrd").source == ADDRESS_V6


@needs(_PXELINUX, f"{_MODULES}/mboot.c32")
def test_pxelinux_finds_its_configuration_and_boots(tmp_path: Path) -> None:
    for file in (_PXELINUX, *(f"{_MODULES}/{m}.c32" for m in ("ldlinux", "mboot", "libcom32"))):
        shutil.copy(file, tmp_path)
    (tmp_path / "kernel").write_bytes(sum_up_kernel())
    checksums = {size: random_file(tmp_path, f"f{size}", size) for size in (1408, 1409, 4_000_001)}
    modules = "".join(f" --- f{size}" for size in checksums)
    (tmp_path / "pxelinux.cfg").mkdir()
    (tmp_path / "pxelinux.cfg/default").write_text(
        f"SAY owl says hello\nDEFAULT owl\nLABEL owl\nKERNEL mboot.c32\nAPPEND kernel{modules}\n",
        encoding="ascii",
    )
    with (
        netboot_lab(tmp_path, boot_file="pxelinux.0") as lab,
        lab.machine(bios_pxe("e1000")) as console,
    ):
        # After nine names that are not there: one lost second each would end in failure.
        console.expect(r"PXELINUX .* Copyright", _BOOT_SECONDS)
        console.expect(r"owl says hello", 5)
        for size, checksum in checksums.items():
            console.expect(sum_up_line(size, checksum), _BOOT_SECONDS)
