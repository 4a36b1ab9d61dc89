"""A UEFI PC (EDK2) boots GRUB from the network, and fetches files in its shell."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.netboot.lab import NETMASK, needs, netboot_lab
from tests.netboot.machines import OVMF_CODE, OVMF_VARS, uefi
from tests.netboot.payloads import grub_image, random_file
from tests.netboot.program import Program
from tests.netboot.servers import ADDRESS, server_name

_GRUB_MODULES = "/usr/lib/grub/x86_64-efi/tftp.mod"  # Debian grub-efi-amd64-bin

pytestmark = [
    pytest.mark.slow,
    pytest.mark.netboot,
    needs("qemu-system-x86_64", OVMF_CODE, OVMF_VARS),
]

_BOOT_SECONDS = 90.0


@needs("grub-mkimage", _GRUB_MODULES)
def test_grub_boots_and_sums_up_what_it_reads(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "grub").mkdir(parents=True)
    grub_image(root / "boot.efi")
    # Around GRUB's block size of 1024 octets, and a few MiB.
    names = [f"f{size}" for size in (1, 1023, 1024, 1025, 5_000_001)]
    for name in names:
        random_file(root, name, int(name[1:]))
    commands = ["echo owl says hello", *(f"sha256sum /{name}" for name in names)]
    commands += ["cat /missing", "echo owl goes on", "halt"]
    (root / "grub/grub.cfg").write_text("\n".join([*commands, ""]), encoding="ascii")

    with (
        netboot_lab(root, boot_file="boot.efi") as lab,
        lab.machine(uefi(tmp_path)) as console,
    ):
        console.expect(r"NBP file downloaded successfully", _BOOT_SECONDS)
        console.expect(r"^owl says hello", 20)
        for name in names:
            digest = hashlib.sha256((root / name).read_bytes()).hexdigest()
            console.expect(rf"^{digest}  /{name}$", 30)
        console.expect(r"^error: ", 10)
        console.expect(r"^owl goes on$", 5)


def _startup(*commands: str) -> bytes:
    address = f"ifconfig -s eth0 static 192.168.77.21 {NETMASK} {ADDRESS}"
    # The address is usable a moment after it was set.
    lines = ["connect -r", address, "fs0:", "stall 1000000", *commands, "echo owl is done", ""]
    return "\r\n".join(lines).encode("ascii")


def _start_up(console: Program) -> None:
    console.expect(r"any other key to continue", _BOOT_SECONDS)
    console.send(" ")  # instead of five seconds


def test_shell_fetches_files_in_windows(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    options = {"f1469": "", "f1000001": "-s 1468 -w 16", "f99999": "-s 8 -w 64 -l 2000"}
    commands = [f"tftp {ADDRESS} missing"]
    disk = {}
    for number, (name, words) in enumerate(options.items()):
        random_file(root, name, int(name[1:]))
        disk[f"ref{number}"] = (root / name).read_bytes()
        commands += [f"tftp {words} {ADDRESS} {name} got{number}", f"comp ref{number} got{number}"]
    disk["startup.nsh"] = _startup(*commands)

    with netboot_lab(root) as lab, lab.machine(uefi(tmp_path, disk=disk)) as console:
        _start_up(console)
        console.expect(r"Unable to get the size of the file 'missing'", 30)
        for number in range(len(options)):
            console.expect(rf"> comp ref{number} got{number}\n\[no differences encountered\]", 30)
        console.expect(r"^owl is done$", 10)


@pytest.mark.skipif(
    server_name() != "snowowl",
    reason="the shell divides by the size and dies of tsize=0, which the stand-ins send",
)
def test_shell_survives_an_empty_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "empty").touch()
    random_file(root, "next", 1024)
    commands = (f"tftp {ADDRESS} empty got0", f"tftp {ADDRESS} next got1", "comp ref got1")
    disk = {"ref": (root / "next").read_bytes(), "startup.nsh": _startup(*commands)}
    with netboot_lab(root) as lab, lab.machine(uefi(tmp_path, disk=disk)) as console:
        _start_up(console)
        console.expect(r"Unable to get the size of the file 'empty'", 30)
        console.expect(r"> comp ref got1\n\[no differences encountered\]", 10)
