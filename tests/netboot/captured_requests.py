"""What real clients put on the wire, octet for octet: seeds for fuzzing, inputs for tests.

Captured in this folder's lab with the clients of Debian 12. The files' names are the lab's; modes,
options, their order and their spelling are the clients'. Nothing may be here that was not captured.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# iPXE 1.0.0+git-20190125.36a4c85-5.1, ROM of QEMU's network cards (BIOS)
_IPXE = {
    # The file that DHCP names, a script; all later files are asked for alike, over IPv6 too.
    "ipxe script": b"\0\1boot.ipxe\0octet\0blksize\x001432\0tsize\x000\0",
    # `imgfetch sub/f`, and `imgfetch /sub/f`: of leading slashes one goes.
    "ipxe path": b"\0\1sub/f\0octet\0blksize\x001432\0tsize\x000\0",
    # `imgfetch tftp://192.168.77.1//sub//f`
    "ipxe doubled slashes": b"\0\1/sub//f\0octet\0blksize\x001432\0tsize\x000\0",
    # `imgfetch tftp://192.168.77.1/a%20b`
    "ipxe name with a space": b"\0\1a b\0octet\0blksize\x001432\0tsize\x000\0",
}

# PXELINUX 6.04~git20190206.bf6db5b4+dfsg1-3 through iPXE's ROM, which fetches pxelinux.0 itself
_PXELINUX = {
    "pxelinux first file": b"\0\1ldlinux.c32\0octet\0tsize\x000\0blksize\x001408\0",
    # Then by address, C0A84D4F, one digit shorter each time down to C, then default.
    "pxelinux probe by mac": (
        b"\0\1pxelinux.cfg/01-52-54-00-77-00-00\0octet\0tsize\x000\0blksize\x001408\0"
    ),
    "pxelinux probe by address": b"\0\1pxelinux.cfg/C0A84D4F\0octet\0tsize\x000\0blksize\x001408\0",
    "pxelinux last probe": b"\0\1pxelinux.cfg/default\0octet\0tsize\x000\0blksize\x001408\0",
    "pxelinux kernel": b"\0\1kernel\0octet\0tsize\x000\0blksize\x001408\0",
    # `APPEND kernel --- /initrd`: the slash stays.
    "pxelinux slash": b"\0\1/initrd\0octet\0tsize\x000\0blksize\x001408\0",
}

# EDK2 as in OVMF 2022.11-6+deb12u2
_EDK2 = {
    # PXE asks for the size, breaks off after the OACK ("edk2 probed" below), asks again.
    "edk2 pxe size": b"\0\1boot.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0",
    "edk2 pxe read": b"\0\1boot.efi\0octet\0blksize\x001468\0windowsize\x004\0",
    # The shell's `tftp` does likewise; it reads with what -s and -w say, by default nothing.
    "edk2 shell size": b"\0\1f\0octet\0tsize\x000\0",
    "edk2 shell read": b"\0\1f\0octet\0",
    "edk2 shell read -s 1468": b"\0\1f\0octet\0blksize\x001468\0",
    "edk2 shell read -w 16": b"\0\1f\0octet\0windowsize\x0016\0",
    "edk2 shell read -s 65464 -w 64": b"\0\1f\0octet\0blksize\x0065464\0windowsize\x0064\0",
    "edk2 shell read -s 8": b"\0\1f\0octet\0blksize\x008\0",
}

# GRUB 2.06-13+deb12u2, x86_64-efi
_GRUB = {
    # Then /grub/grub.cfg-C0A84D4F down to -C, four lists of modules, /grub/grub.cfg.
    "grub probe by mac": (
        b"\0\1/grub/grub.cfg-01-52-54-00-77-00-00\0octet\0blksize\x001024\0tsize\x000\0"
    ),
    "grub probe by address": b"\0\1/grub/grub.cfg-C0A84D4F\0octet\0blksize\x001024\0tsize\x000\0",
    "grub module list": b"\0\1/grub/x86_64-efi/command.lst\0octet\0blksize\x001024\0tsize\x000\0",
    # `(tftp,192.168.77.1)/f` and `(tftp,192.168.77.1)//f` both
    "grub file": b"\0\1/f\0octet\0blksize\x001024\0tsize\x000\0",
}

# U-Boot 2023.01+dfsg-2+deb12u3, qemu_arm64
_UBOOT = {
    "uboot tftpboot": b"\0\1f\0octet\0timeout\x005\0blksize\x001468\0",
    # `tftpboot ADDR` without a name
    "uboot default name": b"\0\1C0A84D4F.img\0octet\0timeout\x005\0blksize\x001468\0",
    "uboot tftpblocksize 512": b"\0\1f\0octet\0timeout\x005\0blksize\x00512\0",
    "uboot tftpwindowsize 8": (b"\0\1f\0octet\0timeout\x005\0blksize\x001468\0windowsize\x008\0"),
    "uboot tftpwindowsize 65535": (
        b"\0\1f\0octet\0timeout\x005\0blksize\x001468\0windowsize\x0065535\0"
    ),
    "uboot tftptimeout 10000": b"\0\1f\0octet\0timeout\x0010\0blksize\x001468\0",
    # `pxe get`; then by address as PXELINUX, then default-arm, default
    "uboot pxe probe by mac": (
        b"\0\1pxelinux.cfg/01-52-54-00-77-00-00\0octet\0timeout\x005\0blksize\x001468\0"
    ),
    "uboot pxe probe by architecture": (
        b"\0\1pxelinux.cfg/default-arm\0octet\0timeout\x005\0blksize\x001468\0"
    ),
    # The same source built with CONFIG_TFTP_TSIZE and CONFIG_CMD_TFTPPUT
    "uboot tsize": b"\0\1f\0octet\0timeout\x005\0tsize\x000\0blksize\x001468\0",
    "uboot tsize tftpwindowsize 8": (
        b"\0\1f\0octet\0timeout\x005\0tsize\x000\0blksize\x001468\0windowsize\x008\0"
    ),
    "uboot tsize tftpput": b"\0\2up\0octet\0timeout\x005\0tsize\x00256\0blksize\x001468\0",
    # `tftpput` with tftpwindowsize 8: a write never asks for a window.
    "uboot tsize tftpput tftpblocksize 512": (
        b"\0\2dir/up2\0octet\0timeout\x005\0tsize\x004096\0blksize\x00512\0"
    ),
}

_COMMAND_LINE = {
    # curl 7.88.1-10+deb12u15
    "curl": b"\0\1f\0octet\0tsize\x000\0blksize\x00512\0timeout\x006\0",
    "curl --tftp-blksize 1468": b"\0\1f\0octet\0tsize\x000\0blksize\x001468\0timeout\x006\0",
    "curl --tftp-no-options": b"\0\1f\0octet\0",
    "curl ;mode=netascii": b"\0\1f\0netascii\0tsize\x000\0blksize\x00512\0timeout\x006\0",
    "curl -T": b"\0\2u1\0octet\0tsize\x003000\0blksize\x00512\0timeout\x006\0",
    # busybox 1:1.35.0-4+deb12u1
    "busybox -g": b"\0\1f\0octet\0tsize\x000\0",
    "busybox -g -b 1468": b"\0\1f\0octet\0blksize\x001468\0tsize\x000\0",
    "busybox -p": b"\0\2u2\0octet\0tsize\x003000\0",
    # tftp-hpa 5.2+20150808-1.4
    "tftp-hpa get": b"\0\1f\0netascii\0",
    "tftp-hpa get -m binary": b"\0\1f\0octet\0",
    "tftp-hpa put -m binary": b"\0\2u3\0octet\0",
    # atftp 0.8.0-3; its options come in this order, however they were given
    "atftp -g": b"\0\1f\0octet\0",
    "atftp -g all options": (
        b"\0\1f\0octet\0tsize\x000\0timeout\x003\0blksize\x001468\0windowsize\x008\0"
    ),
    "atftp -p": b"\0\2u4\0octet\0tsize\x003000\0blksize\x001024\0",
    "atftp -g multicast": b"\0\1f\0octet\0multicast\0\0",  # RFC 2090: an empty value
}

REQUESTS: Final = MappingProxyType(_IPXE | _PXELINUX | _EDK2 | _GRUB | _UBOOT | _COMMAND_LINE)
"""RRQ and WRQ by client and phase."""

ERRORS: Final = MappingProxyType(
    {
        # After an OACK that answered a request for the size: no failure, it asks again.
        "edk2 probed": b"\0\5\0\x08User aborted the transfer\0",
        # The shell asked for the size of an empty file, and got DATA instead of an OACK.
        "edk2 size unknown": b"\0\5\0\4User aborted download\0",
        # Read as much of a file as it wants (`hexdump --length=16`, or not a kernel): no failure.
        "grub closed": b"\0\5\0\0closed\0",
    }
)
"""ERRORs by client and occasion."""
