"""Test that a board boots what it should: the fixtures of snowowl's pytest plugin.

    pip install snowowl pytest pytest-trio
    pytest test_my_board.py

`Board` stands for yours: there, `power_on` switches a relay or calls labgrid, and the server listens
on an address that the board reaches, as in `@pytest.mark.snowowl_server(listen="192.168.7.1:69")`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import trio

import snowowl
from snowowl.testing.testserver import Server, ServerFactory

KERNEL = b"\x27\x05\x19\x56" + b"kernel" * 20_000
BOOT_FILES = {"boot.scr": b"tftpboot uImage", "uImage": KERNEL, "dtb/my-board.dtb": b"tree"}
TIMEOUT = 60
"""Seconds for one boot."""


class Board:
    """A board whose boot loader fetches three files, or else a recovery image, and sends its log."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def power_on(self, server: Server) -> None:
        """Boot from a server."""
        self._thread = threading.Thread(target=trio.run, args=(self.boot, server))
        self._thread.start()

    def power_off(self) -> None:
        """Wait until it is done."""
        if self._thread is not None:
            self._thread.join()

    async def boot(self, server: Server) -> None:
        """Do what the boot loader does."""
        try:
            for name in ("boot.scr", "uImage", "dtb/my-board.dtb"):
                await snowowl.get(server.url(name))
        except snowowl.ClientError:
            await snowowl.get(server.url("recovery.img"))
        try:
            await snowowl.put(b"booted\n", server.url("logs/my-board.txt"))
        except snowowl.ClientError:
            return  # nobody wants it


@pytest.fixture
def board() -> Iterator[Board]:
    """Return a board that is off, and switch it off at the end."""
    board = Board()
    yield board
    board.power_off()


@pytest.mark.snowowl_server(BOOT_FILES)
def test_it_boots_the_kernel_and_not_the_recovery_image(
    snowowl_server: Server, board: Board
) -> None:
    """The order of the files, that all of them arrived, and what must not be asked for."""
    board.power_on(snowowl_server)
    kernel, _ = snowowl_server.wait_for_all("uImage", "dtb/*.dtb", timeout=TIMEOUT)
    assert kernel.octets == len(KERNEL)
    assert int(kernel.got["blksize"]) >= 1428, "an old boot loader: this takes minutes"
    snowowl_server.assert_not_requested("recovery*")


@pytest.mark.snowowl_server(BOOT_FILES)
def test_it_falls_back_to_the_recovery_image(snowowl_server: Server, board: Board) -> None:
    """Files change between two boots, or while one runs: a transfer ends with what it began with."""
    del snowowl_server.files["uImage"]
    snowowl_server.files["recovery.img"] = b"made by this test"
    board.power_on(snowowl_server)
    snowowl_server.wait_for("recovery.img", timeout=TIMEOUT)
    snowowl_server.assert_requested("uImage", "recovery.img")


@pytest.mark.snowowl_server(BOOT_FILES, writable=True)
def test_it_sends_its_log(snowowl_server: Server, board: Board) -> None:
    """What the board uploads can be waited for, and read."""
    snowowl_server.files["logs/my-board.txt"] = b"of the last boot"
    board.power_on(snowowl_server)
    snowowl_server.wait_for("uImage", timeout=TIMEOUT)
    assert snowowl_server.wait_for_upload("logs/*", timeout=TIMEOUT) == b"booted\n"


def test_it_boots_over_a_bad_cable(snowowl_server_factory: ServerFactory, board: Board) -> None:
    """Each DATA and each ACK is lost with a probability of 2 %, as the seed decides."""
    server = snowowl_server_factory(BOOT_FILES, loss=0.02, seed=4)
    board.power_on(server)
    assert server.wait_for("uImage", timeout=TIMEOUT).complete


@pytest.mark.trio
async def test_it_boots_beside_other_tasks(snowowl_server: Server) -> None:
    """In a test of pytest-trio, waiting holds up no other task."""
    for name, octets in BOOT_FILES.items():
        snowowl_server.files[name] = octets
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Board().boot, snowowl_server)
        await snowowl_server.trio.wait_for_all(*BOOT_FILES, timeout=TIMEOUT)
