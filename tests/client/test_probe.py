"""A fetch that keeps nothing: what is known of it afterwards, and of one that fails."""

from __future__ import annotations

import hashlib
import os

import pytest

from snowowl.client.errors import ClientError, OptionsRefusedError, Reason
from snowowl.client.options import ClientOptions
from snowowl.client.probe import Probe, fetch
from snowowl.client.url import parse_url
from snowowl.wire.codec import decode_error, opcode_of
from snowowl.wire.constants import Opcode
from tests.client.fake import TID, URL, FakeNetwork, oack, reader, refuser, silent

CONTENT = os.urandom(5000)
GRANT = oack((b"tsize", b"5000"), (b"blksize", b"1468"))
TARGET = parse_url(URL)


async def test_a_whole_file() -> None:
    network, probe = FakeNetwork(reader(CONTENT, GRANT, 1468)), Probe()
    await fetch(TARGET, probe, options=ClientOptions(), network=network)
    assert (probe.octets, probe.announced, probe.whole) == (5000, 5000, True)
    assert probe.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert dict(probe.granted) == {b"tsize": b"5000", b"blksize": b"1468"}
    assert network.all_closed


async def test_an_empty_file() -> None:
    probe = Probe()
    await fetch(TARGET, probe, options=ClientOptions.none(), network=FakeNetwork(reader(b"")))
    assert (probe.octets, probe.whole) == (0, True)
    assert probe.sha256 == hashlib.sha256(b"").hexdigest()


async def test_enough_is_told_to_the_server() -> None:
    network, probe = FakeNetwork(reader(CONTENT, GRANT, 1468)), Probe()
    await fetch(TARGET, probe, options=ClientOptions(), octets_max=2000, network=network)
    assert (probe.octets, probe.whole, probe.sha256) == (2936, False, "")
    last = network.sent_to(TID)[-1]
    assert opcode_of(last) == Opcode.ERROR
    assert decode_error(last).message == b"health check has seen enough"


async def test_a_server_that_refuses_options_is_asked_without() -> None:
    plain = reader(CONTENT)

    def script(peer: bytes, datagram: bytes):  # type: ignore[no-untyped-def]
        return refuser(8)(peer, datagram) if b"blksize" in datagram else plain(peer, datagram)

    probe = Probe()
    await fetch(TARGET, probe, options=ClientOptions(), network=FakeNetwork(script))
    assert (probe.octets, probe.granted) == (5000, ())
    with pytest.raises(OptionsRefusedError):
        await fetch(TARGET, Probe(), options=ClientOptions.none(), network=FakeNetwork(refuser(8)))


async def test_failures_are_those_of_the_client(autojump_clock: object) -> None:
    probe = Probe()
    for script, reason in ((refuser(1), Reason.SERVER), (silent, Reason.TIMEOUT)):
        with pytest.raises(ClientError) as caught:
            await fetch(TARGET, probe, options=ClientOptions(), network=FakeNetwork(script))
        assert caught.value.reason is reason
    assert probe.seconds > 10
    assert probe.retransmitted == ClientOptions().retries


async def test_a_name_that_nobody_knows() -> None:
    probe = Probe()
    target = parse_url("tftp://no-such-host.invalid/x")
    with pytest.raises(ClientError) as caught:
        await fetch(target, probe, options=ClientOptions(), network=FakeNetwork(silent))
    assert caught.value.reason is Reason.RESOLVE
    assert (probe.octets, probe.granted) == (0, ())
