"""One transfer of a client: whom it listens to, how long it waits, how it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from snowowl.client.errors import ClientError, Reason
from snowowl.client.get import get
from snowowl.client.options import ClientOptions
from snowowl.client.put import put
from snowowl.datagram.address import pack
from snowowl.wire.codec import decode_error, decode_request, encode_ack, encode_error, opcode_of
from snowowl.wire.constants import Opcode
from tests.client.fake import (
    LISTENING,
    OTHER_HOST,
    OTHER_TID,
    TID,
    URL,
    Answer,
    FakeNetwork,
    Resolver,
    data,
    number_of,
    oack,
    reader,
    refuser,
    silent,
    writer,
)

PLAIN = ClientOptions.none()


async def fails(network: FakeNetwork, options: ClientOptions | None = None) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await get(URL, network=network, options=options)
    assert network.all_closed
    return caught.value


async def test_the_tid_is_learnt_from_the_first_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = FakeNetwork(reader(b"x" * 1000))
    received = await get(URL, network=network)
    assert received.octets == b"x" * 1000
    assert len(network.sent_to(LISTENING)) == 1
    assert network.sent_to(TID) == [encode_ack(1), encode_ack(2)]
    assert network.all_closed


async def test_another_tid_gets_error_5_and_the_transfer_lives(
    autojump_clock: trio.testing.MockClock,
) -> None:
    content = reader(b"x" * 1000)

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        answers = list(content(peer, datagram))
        if answers and peer == TID:
            answers.insert(0, (OTHER_TID, data(2, b"wrong")))
            answers.insert(0, (OTHER_TID, encode_error(0, "not even an ERROR is heeded")))
        return answers

    network = FakeNetwork(script)
    assert (await get(URL, network=network)).octets == b"x" * 1000
    (stray,) = network.sent_to(OTHER_TID)  # the ERROR is not answered
    assert decode_error(stray).code == 5


async def test_other_hosts_are_ignored(autojump_clock: trio.testing.MockClock) -> None:
    content = reader(b"right")

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        return ((OTHER_HOST, data(1, b"wrong")), (OTHER_HOST, b""), *content(peer, datagram))

    network = FakeNetwork(script)
    assert (await get(URL, network=network)).octets == b"right"
    assert network.sent_to(OTHER_HOST) == []


async def test_noise_does_not_choose_the_tid(autojump_clock: trio.testing.MockClock) -> None:
    content = reader(b"right")

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        noise = (b"\0", b"\0\0", b"\0\1file\0octet\0", b"\xff" * 600)
        if peer != LISTENING:
            return content(peer, datagram)
        return (*((OTHER_TID, each) for each in noise), *content(peer, datagram))

    network = FakeNetwork(script)
    assert (await get(URL, network=network)).octets == b"right"


@pytest.mark.rfc("1350 4")
@pytest.mark.parametrize("octets", [b"\0\3\0", b"\0\6", encode_ack(0)], ids=["cut", "empty", "ack"])
async def test_what_answers_nothing_does_not_choose_the_tid(
    autojump_clock: trio.testing.MockClock, octets: bytes
) -> None:
    """The request is repeated to the port that listens, not to the one that sent nonsense."""
    right = reader(b"x" * 1000)
    requests = 0

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        nonlocal requests
        requests += peer == LISTENING
        if requests == 1:
            return ((OTHER_TID, octets),)
        return right(peer, datagram)

    network = FakeNetwork(script)
    received = await get(URL, network=network, options=PLAIN)
    assert received.octets == b"x" * 1000
    assert requests == 2
    assert network.sent_to(OTHER_TID) == []


@pytest.mark.rfc("2347")
@pytest.mark.parametrize(
    ("grant", "words"),
    [
        (oack((b"rollover", b"1")), "not asked for"),
        (oack((b"multicast", b"224.0.0.1")), "not asked for"),
        (oack((b"blksize", b"1469")), "more than was asked for"),
        (oack((b"windowsize", b"17")), "more than was asked for"),
        (oack((b"timeout", b"4")), "not what was asked for"),
        (oack((b"blksize", b"7")), "not a valid value"),
        (oack((b"blksize", b"")), "not a valid value"),
        (oack((b"\x1b[31m\n", b"\x1b[2J")), r"\\x1b\[31m\\n=\\x1b\[2J"),
    ],
)
async def test_a_bad_oack_is_refused(
    autojump_clock: trio.testing.MockClock, grant: bytes, words: str
) -> None:
    network = FakeNetwork(reader(b"x", grant))
    with pytest.raises(ClientError, match=words) as caught:
        await get(URL, network=network, options=ClientOptions(timeout=3))
    assert caught.value.reason is Reason.PROTOCOL
    assert str(caught.value).isprintable()
    (refusal,) = network.sent_to(TID)
    assert decode_error(refusal).code == 8
    assert len(network.sent_to(LISTENING)) == 1  # our refusal is no reason to ask again


async def test_a_server_that_knows_no_options(autojump_clock: trio.testing.MockClock) -> None:
    received = await get(URL, network=FakeNetwork(reader(bytes(512))))
    assert (received.size, received.granted) == (512, ())


async def test_a_server_that_grants_some(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(reader(bytes(3000), oack((b"blksize", b"1024")), 1024))
    received = await get(URL, network=network)
    assert (received.size, received.granted) == (3000, ((b"blksize", b"1024"),))
    assert network.sent_to(TID)[0] == encode_ack(0)


async def test_error_8_is_answered_by_one_request_without_options(
    autojump_clock: trio.testing.MockClock,
) -> None:
    content, refusal = reader(b"plain"), refuser(8)

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        asked = opcode_of(datagram) == Opcode.RRQ and decode_request(datagram).options
        return (refusal if asked else content)(peer, datagram)

    network = FakeNetwork(script)
    assert (await get(URL, network=network)).octets == b"plain"
    asked = [decode_request(octets).options for octets in network.sent_to(LISTENING)]
    assert [bool(options) for options in asked] == [True, False]


@pytest.mark.parametrize(("options", "requests"), [(None, 2), (PLAIN, 1)])
async def test_error_8_again_is_the_end(
    autojump_clock: trio.testing.MockClock, options: ClientOptions | None, requests: int
) -> None:
    network = FakeNetwork(refuser(8))
    error = await fails(network, options)
    assert (error.reason, error.code) == (Reason.SERVER, 8)
    assert len(network.sent_to(LISTENING)) == requests


async def test_error_8_in_the_middle_does_not_begin_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if opcode_of(datagram) == Opcode.RRQ:
            return ((TID, data(1, bytes(512))),)
        return ((TID, encode_error(8, "changed my mind")),)

    network = FakeNetwork(script)
    assert (await fails(network)).code == 8
    assert len(network.sent_to(LISTENING)) == 1


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 99])
async def test_an_error_of_the_server(autojump_clock: trio.testing.MockClock, code: int) -> None:
    network = FakeNetwork(refuser(code, "said so"))
    error = await fails(network)
    assert (error.reason, error.code) == (Reason.SERVER, code)
    assert "said so" in str(error)
    assert len(network.sent) == 1  # an ERROR is never answered


async def test_what_a_server_says_cannot_steer_a_terminal(
    autojump_clock: trio.testing.MockClock,
) -> None:
    said = b"\0\5\0\1" + b"\x1b]0;owned\x07\r\n\x9b31m" + b"\0"
    network = FakeNetwork(lambda *_: ((TID, said),))
    assert str(await fails(network)).isprintable()


@pytest.mark.parametrize(
    ("options", "sent_at"),
    [
        (ClientOptions(timeout=2, retries=3), [0, 2, 4, 6]),
        (ClientOptions.none(timeout=1, retries=2), [0, 1, 2]),
        (ClientOptions(retries=0), [0]),
        (ClientOptions(retries=4), [0, 1, 3, 7, 12]),  # doubled, up to five seconds
    ],
)
async def test_silence(
    autojump_clock: trio.testing.MockClock, options: ClientOptions, sent_at: list[float]
) -> None:
    network = FakeNetwork(silent)
    error = await fails(network, options)
    assert error.reason is Reason.TIMEOUT
    first = network.sent[0][0]
    assert [time - first for time, _, _ in network.sent] == pytest.approx(sent_at)
    assert len({octets for _, _, octets in network.sent}) == 1


async def test_silence_in_the_middle(autojump_clock: trio.testing.MockClock) -> None:
    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        return ((TID, data(1, bytes(512))),) if opcode_of(datagram) == Opcode.RRQ else ()

    network = FakeNetwork(script)
    error = await fails(network, ClientOptions.none(timeout=1, retries=3))
    assert error.reason is Reason.TIMEOUT
    assert network.sent_to(TID) == [encode_ack(1)] * 4


async def test_a_lost_answer_is_asked_for_again(autojump_clock: trio.testing.MockClock) -> None:
    content = reader(b"x" * 700)
    lost: list[bytes] = []

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if datagram not in lost:
            lost.append(datagram)
            return ()
        return content(peer, datagram)

    received = await get(URL, network=FakeNetwork(script), options=PLAIN)
    assert received.octets == b"x" * 700
    assert received.retransmitted >= 2


async def test_a_closed_port(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(lambda peer, _: ((peer, b""),))
    error = await fails(network)
    assert error.reason is Reason.CONNECT
    assert "192.0.2.1:69" in str(error)
    assert trio.current_time() - network.sent[0][0] < 1


async def test_the_next_address_is_tried(autojump_clock: trio.testing.MockClock) -> None:
    content = reader(b"here")

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if peer == pack(("2001:db8::1", 69, 0, 0)):
            return ((peer, b""),)
        return content(peer, datagram)

    trio.socket.set_custom_hostname_resolver(Resolver("2001:db8::1", "192.0.2.1"))
    network = FakeNetwork(script)
    assert (await get("tftp://both/file", network=network)).octets == b"here"
    assert len(network.families) == 2
    assert network.all_closed


async def test_the_next_address_where_there_is_no_ipv6(
    autojump_clock: trio.testing.MockClock,
) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("2001:db8::1", "192.0.2.1"))
    network = FakeNetwork(reader(b"here"))
    network.refused_families = {10}
    assert (await get("tftp://both/file", network=network)).octets == b"here"
    network.refused_families = {10, 2}
    with pytest.raises(ClientError, match="cannot open a socket") as caught:
        await get("tftp://both/file", network=network)
    assert caught.value.reason is Reason.CONNECT


async def test_a_mapped_address_is_the_ipv4_one(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(reader(b"here"))
    assert (await get("tftp://[::ffff:192.0.2.1]/file", network=network)).octets == b"here"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70, "a..b"])
async def test_a_name_that_nobody_has(autojump_clock: trio.testing.MockClock, host: str) -> None:
    with pytest.raises(ClientError, match="cannot resolve") as caught:
        await get(f"tftp://{host}/file", network=FakeNetwork(silent))
    assert caught.value.reason is Reason.RESOLVE


async def test_cancelled_it_tells_the_server(autojump_clock: trio.testing.MockClock) -> None:
    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        return ((TID, data(1, bytes(512))),) if opcode_of(datagram) == Opcode.RRQ else ()

    network = FakeNetwork(script)
    with trio.move_on_after(0.5):
        await get(URL, network=network)
    assert decode_error(network.sent_to(TID)[-1]).code == 0
    assert network.all_closed


async def test_a_progress_that_fails_tells_the_server_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def fail(octets: int, total: int | None) -> None:
        raise RuntimeError("no progress")

    network = FakeNetwork(reader(bytes(5000)))
    with pytest.raises(RuntimeError, match="no progress"):
        await get(URL, network=network, progress=fail)
    assert opcode_of(network.sent[-1][2]) == Opcode.ERROR
    assert network.all_closed


async def test_the_last_ack_is_repeated_for_a_while(autojump_clock: trio.testing.MockClock) -> None:
    network = FakeNetwork(reader(b"x"))
    script = network.script
    repeated = math.inf

    def again(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        nonlocal repeated
        if opcode_of(datagram) == Opcode.ACK and repeated == math.inf:
            repeated = 1
            return ((TID, data(1, b"x")),)  # the ACK was lost
        return script(peer, datagram)

    network.script = again
    assert (await get(URL, network=network)).octets == b"x"
    assert network.sent_to(TID) == [encode_ack(1)] * 2


async def test_put_in_a_window_and_a_block_that_is_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    into: list[bytes] = []
    base = writer(into, oack((b"blksize", b"8"), (b"windowsize", b"2")))
    lost = [3]

    def script(peer: bytes, datagram: bytes) -> Sequence[Answer]:
        if opcode_of(datagram) == Opcode.DATA and number_of(datagram) in lost:
            lost.remove(number_of(datagram))
            return ()
        return base(peer, datagram)

    network = FakeNetwork(script)
    sent = await put(bytes(range(30)), URL, network=network)
    assert b"".join(into) == bytes(range(30))
    assert (sent.size, sent.confirmed) == (30, True)
