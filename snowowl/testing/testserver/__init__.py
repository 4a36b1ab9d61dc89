"""A TFTP server for tests of what boots from it.  For pytest, `snowowl.testing.plugin` has fixtures.

    >>> import snowowl, trio
    >>> from snowowl.testing import serving
    >>> with serving({"uImage": b"kernel", "board.dtb": b"tree"}) as server:
    ...     octets = trio.run(snowowl.get, server.url("uImage")).octets  # your board does this
    ...     transfer = server.wait_for("uImage", timeout=60)
    ...     server.assert_not_requested("recovery*")
    >>> octets, transfer.complete, transfer.got["blksize"], server.requested
    (b'kernel', True, '1468', ['uImage'])

It listens on a free port of 127.0.0.1; for a board give an address of its network, as in
``serving(files, listen="192.168.7.1:69")``.  Port 69 needs root or CAP_NET_BIND_SERVICE.

- **Files** (`server.files`) are octets or paths, and may change at any time; a transfer that runs
  ends with what it began with.  `server.uploaded(name)` reads what a client has sent.
- **Requests** are recorded with client, options asked and granted, octets and outcome:
  `server.transfers`, `server.requested`; `server.clear()` begins anew, as before the next boot.
- **Waits** (`wait_for`, `wait_for_all`, `wait_for_upload`, `wait_until_quiet`) and **assertions**
  raise AssertionError that lists what was asked for instead.  A name may be a pattern of shells.
- It runs in a thread, so that it needs no event loop.  In a test of Trio, `async with serving(...)`
  and ``await server.trio.wait_for(...)`` hold up no other task; with asyncio, use the plain `with`
  and ``await asyncio.to_thread(server.wait_for, "uImage")``.

In `unittest`:

    class BootTest(unittest.TestCase):
        def setUp(self):
            self.server = self.enterContext(serving(Path("build/boot")))

With labgrid, beside the fixtures that it has for a place and its power:

    @pytest.fixture(scope="session")
    def tftp(session_snowowl_server_factory):
        return session_snowowl_server_factory(Path("build/boot"), listen="192.168.7.1:69")

    def test_boot(tftp, target):
        tftp.clear()
        target.get_driver("PowerProtocol").cycle()
        tftp.wait_for_all("uImage", "board.dtb", timeout=60)
"""

from snowowl.testing.testserver.explain import Until
from snowowl.testing.testserver.files import Content, Files, ServedFiles
from snowowl.testing.testserver.records import ServerFailedError, Transfer
from snowowl.testing.testserver.server import (
    Server,
    ServerFactory,
    Settings,
    Tid,
    serving,
    told_since,
)
from snowowl.testing.testserver.waits import TrioWaits

__all__ = [
    "Content",
    "Files",
    "ServedFiles",
    "Server",
    "ServerFactory",
    "ServerFailedError",
    "Settings",
    "Tid",
    "Transfer",
    "TrioWaits",
    "Until",
    "serving",
    "told_since",
]
