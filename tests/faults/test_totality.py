"""Whatever a client sends, to whichever port, with whichever fault: it is judged, and nothing raises."""

from __future__ import annotations

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from snowowl.testing.faults import Spec, every_fault, faulty_server
from snowowl.testing.probe import Probe
from snowowl.testing.simnetwork import SimNetwork
from snowowl.testing.strategies import datagrams
from tests.faults.naive import LISTENING, request
from tests.faults.world import FILE, SERVER

REQUESTS = st.builds(
    request,
    st.sampled_from([1, 2]),
    st.sampled_from([("blksize", 100), ("windowsize", 4), ("tsize", 0), ("timeout", 1)]),
)


@settings(max_examples=25)
@given(st.sampled_from(list(every_fault())), REQUESTS, st.lists(datagrams(), max_size=6))
@example(
    Spec("double-all"), request(1), [b"", b"\0", b"\0\4\0", b"\0\3\0\0", b"\0\5", b"\xff" * 70]
)
def test_any_client(spec: Spec, asked: bytes, noise: list[bytes]) -> None:
    async def main() -> int:
        network = SimNetwork()
        async with faulty_server(
            {"file": FILE}, spec, listen=f"{SERVER}:69", network=network
        ) as server:
            with Probe(network, 2) as probe:
                await probe.send(asked, LISTENING)
                for octets in noise:
                    heard = await probe.receive(2.0)
                    await probe.send(octets, heard.source if heard else LISTENING)
                    await probe.send(octets, LISTENING)
            await trio.sleep(0.5)
            await server.settle()
        return len(server.transfers)

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) >= 1
