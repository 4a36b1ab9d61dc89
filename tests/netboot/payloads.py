"""What the machines load: random files with known sums, and programs that sum up what arrived.

The sums are made twice, here by zlib and hashlib, there by the machine from its own memory: a server
that corrupts, repeats or drops one octet is found out. No machine or lab may be known here.
"""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from pathlib import Path

_SEED = 77


def random_file(folder: Path, name: str, size: int) -> int:
    """Write `size` reproducible random octets; return their CRC-32."""
    octets = random.Random(f"{_SEED} {name}").randbytes(size)
    (folder / name).write_bytes(octets)
    return zlib.crc32(octets)


# A Multiboot 1 kernel in 32-bit x86 machine code. For each module that the loader put in memory it
# prints `m SIZE CRC32` (hexadecimal) on the first serial port, then a line with a dot, and halts.
_SUM_UP = """
    bc 00 00 18 00      start:  mov esp, 0x180000
    89 dd                       mov ebp, ebx            ; the multiboot information
    8b 5d 18                    mov ebx, [ebp+24]       ; mods_addr
    8b 7d 14                    mov edi, [ebp+20]       ; mods_count
    85 ff               next:   test edi, edi
    74 43                       jz done
    8b 33                       mov esi, [ebx]          ; mod_start
    8b 4b 04                    mov ecx, [ebx+4]        ; mod_end
    29 f1                       sub ecx, esi
    b0 6d                       mov al, 'm'
    e8 6f 00 00 00              call putc
    89 c8                       mov eax, ecx
    e8 3f 00 00 00              call puthex
    83 c8 ff                    or eax, -1
    e3 15                       jecxz sum
    32 06               octet:  xor al, [esi]
    46                          inc esi
    b2 08                       mov dl, 8
    d1 e8               bit:    shr eax, 1
    73 05                       jnc even
    35 20 83 b8 ed              xor eax, 0xedb88320     ; the CRC-32 of zlib, bit by bit
    fe ca               even:   dec dl
    75 f3                       jnz bit
    49                          dec ecx
    75 eb                       jnz octet
    f7 d0               sum:    not eax
    e8 1e 00 00 00              call puthex
    b0 0a                       mov al, 10
    e8 40 00 00 00              call putc
    83 c3 10                    add ebx, 16             ; the next module's entry
    4f                          dec edi
    eb b9                       jmp next
    b0 2e               done:   mov al, '.'
    e8 33 00 00 00              call putc
    b0 0a                       mov al, 10
    e8 2c 00 00 00              call putc
    f4                  halt:   hlt
    eb fd                       jmp halt
    50                  puthex: push eax
    51                          push ecx
    b0 20                       mov al, ' '
    e8 20 00 00 00              call putc
    8b 44 24 04                 mov eax, [esp+4]
    b9 08 00 00 00              mov ecx, 8
    c1 c0 04            digit:  rol eax, 4
    50                          push eax
    24 0f                       and al, 15
    3c 0a                       cmp al, 10
    1c 69                       sbb al, 0x69
    2f                          das                     ; 0 to 15 to '0' to 'F'
    e8 07 00 00 00              call putc
    58                          pop eax
    49                          dec ecx
    75 ec                       jnz digit
    59                          pop ecx
    58                          pop eax
    c3                          ret
    52                  putc:   push edx
    50                          push eax
    66 ba fd 03                 mov dx, 0x3fd           ; line status
    ec                  wait:   in al, dx
    a8 20                       test al, 0x20           ; transmitter empty?
    74 fb                       jz wait
    58                          pop eax
    66 ba f8 03                 mov dx, 0x3f8
    ee                          out dx, al
    5a                          pop edx
    c3                          ret
"""
_CODE_COLUMNS = 20


def sum_up_kernel() -> bytes:
    """Return the Multiboot kernel: it prints what `sum_up_line` returns for each of its modules."""
    code = b"".join(bytes.fromhex(line[:_CODE_COLUMNS]) for line in _SUM_UP.splitlines())
    # Multiboot 0.6.96 section 3.1: flag 16 has the loader take the addresses from the header, so
    # no ELF is needed. bss ends above the stack, where modules must not go.
    magic, flags, base = 0x1BADB002, 1 << 16, 0x100000
    addresses = (base, base, 0, base + 0x80000, base + 32)
    return struct.pack("<8I", magic, flags, -(magic + flags) & 0xFFFFFFFF, *addresses) + code


def sum_up_line(size: int, checksum: int) -> str:
    """Return the line that the kernel prints for a module that arrived whole."""
    return f"m {size:08X} {checksum:08X}"


def grub_image(path: Path) -> None:
    """Make an EFI image of GRUB that reads /grub/grub.cfg by TFTP and can sum up files."""
    modules = "tftp efinet net hashsum gcry_sha256 gcry_crc echo normal configfile cat halt"
    words = ["grub-mkimage", "-O", "x86_64-efi", "-p", "(tftp)/grub", "-o", str(path)]
    subprocess.run([*words, *modules.split()], check=True, capture_output=True)
