"""U-Boot against the fault server: its script chooses each fault by the file's name."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.netboot.lab import needs, netboot_lab
from tests.netboot.machines import LOAD_ADDRESS, UBOOT, UBootPrompt, uboot_arm64
from tests.netboot.payloads import random_file
from tests.netboot.servers import ADDRESS, ServerCommand

pytestmark = [pytest.mark.slow, pytest.mark.netboot, needs("qemu-system-aarch64", UBOOT)]

SECONDS = 90.0

IN_LOCK_STEP = (
    "lost-data,block=3",
    "lost-oack",
    "lost-from-client",
    "double-all",
    "stray-data",
    "stray-error",
    "two-answers",
    "wrong-block",
    "oack-order",
    "oack-unasked",
    "oack-timeout",
    "options-ignored",
    "blksize-smaller",
    "listening-port",
    "truncated",
    "garbage",
    "late-double",
    "error,code=1",
    "error-4-octets",
    "error-no-nul",
    "long-data",
    "silence",
    "port-closed",
)

IN_WINDOWS = ("lost-data,block=3", "window-gap", "window-order", "lost-from-client", "stray-data")
"""Without what doubles datagrams: that leaves U-Boot's virtio driver deaf, as a large window does."""

ENDS = ("oack-timeout", "error", "error-4-octets", "error-no-nul", "silence", "port-closed")


def server(root: Path) -> ServerCommand:
    words = (sys.executable, "-m", "snowowl", "faults", str(root), "--listen", f"{ADDRESS}:69")
    return ServerCommand((*words, "--json", "--silence", "12"), "listening on")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("windowsize", "faults"), [(1, IN_LOCK_STEP), (8, IN_WINDOWS)])
def test_uboot_with_faults(tmp_path: Path, windowsize: int, faults: tuple[str, ...]) -> None:
    """What arrives is whole where it can be; each verdict is printed (`-rP`)."""
    root = tmp_path / "root"
    root.mkdir()
    checksum = random_file(root, "kernel", 100_000)
    played: list[str] = []
    with (
        netboot_lab(root, command=server(root)) as lab,
        lab.machine(uboot_arm64()) as console,
    ):
        board = UBootPrompt(console)
        board.tune(blksize=1468, windowsize=windowsize)
        board.run("setenv tftptimeoutcountmax 3")
        for fault in faults:
            board.run("setenv filesize")
            printed = board.run(f"tftpboot {LOAD_ADDRESS:#x} {fault}/kernel", SECONDS)
            if re.search(r"^done$", printed, re.MULTILINE):
                summed = board.run(f"crc32 {LOAD_ADDRESS:#x} {100_000:#x}")
                right = f"{checksum:08x}" in summed
                played.append(f"{fault}: done, {'whole' if right else 'WRONG'}")
            else:
                played.append(f"{fault}: {' '.join(printed.split())[-70:]}")
        board.fetch("kernel", 60)
        verdicts = [json.loads(line) for line in lab.server.text.splitlines() if line[:1] == "{"]
    for line in played:
        print(line)  # noqa: T201
    for one in verdicts:
        if one["event"] == "transfer":
            print(f"{one['verdict']:13}{one['fault']:28}{one['why']} | {one['did']}")  # noqa: T201
    for fault, line in zip(faults, played, strict=True):
        ended = re.split("[:,]", fault)[0] in ENDS
        assert line.endswith("done, whole") != ended, line
    judged = [one for one in verdicts if one["event"] == "transfer" and one["fault"]]
    assert {one["fault"].partition(":")[0] for one in judged} == {
        re.split("[:,]", fault)[0] for fault in faults
    }
    assert not [one for one in judged if one["verdict"] == "MISBEHAVED"]
