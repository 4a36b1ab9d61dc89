"""TFTP for Hypothesis: packets drawn around the edges, near misses, names, conversations.

For tests of servers, clients and boot loaders, whatever language they are written in:

    @given(datagrams())
    def test_my_decoder_is_total(datagram): ...

    @given(well_formed_requests(filenames=traversals()))
    def test_my_server_stays_in_its_root(request): send(encode(request))

| what is drawn | by |
|---|---|
| RRQ, WRQ, OACK, ERROR as objects | `read_requests`, `write_requests`, `option_acks`, `errors`, `valid_packets` |
| requests that nothing is wrong with | `well_formed_requests` |
| ACK, DATA as octets, at a block number | `acks(near=...)`, `datas(near=..., blksize=...)`, `payloads` |
| options, their values, strings | `option_maps`, `option_values`, `odd_numbers`, `texts` |
| numbers at the edges | `block_numbers`, `blksizes`, `windowsizes`, `sizes` |
| file names, and such that leave the root | `names`, `traversals` |
| every packet as octets | `valid_datagrams` |
| packets with something wrong | `near_misses`, `damaged` (kinds: `KINDS`) |
| anything that may come in | `datagrams` |
| sequences of datagrams for a server | `conversations`, of `Step`s |

Objects become octets by `snowowl.wire.codec.encode`; `raw_request` makes a request of what `encode`
refuses.  The repr of every value is Python that makes it again, so that a failing example can be
pasted into a test.  Nothing here may draw from anything but Hypothesis: all that is found shrinks.
"""

from snowowl.testing.strategies.conversations import SENDERS, Conversation, Step, conversations
from snowowl.testing.strategies.damage import (
    KINDS,
    LENGTHS,
    Kind,
    damaged,
    datagrams,
    near_misses,
    raw_request,
)
from snowowl.testing.strategies.names import PARENTS, SEPARATORS, names, traversals
from snowowl.testing.strategies.packets import (
    OPTION_NAMES,
    acks,
    datas,
    errors,
    option_acks,
    option_maps,
    payloads,
    read_requests,
    texts,
    valid_datagrams,
    valid_packets,
    well_formed_requests,
    write_requests,
)
from snowowl.testing.strategies.values import (
    EDGE_BLKSIZES,
    EDGE_NUMBERS,
    EDGE_VALUES,
    blksizes,
    block_numbers,
    odd_numbers,
    option_values,
    sizes,
    windowsizes,
)

__all__ = [
    "EDGE_BLKSIZES",
    "EDGE_NUMBERS",
    "EDGE_VALUES",
    "KINDS",
    "LENGTHS",
    "OPTION_NAMES",
    "PARENTS",
    "SENDERS",
    "SEPARATORS",
    "Conversation",
    "Kind",
    "Step",
    "acks",
    "blksizes",
    "block_numbers",
    "conversations",
    "damaged",
    "datagrams",
    "datas",
    "errors",
    "names",
    "near_misses",
    "odd_numbers",
    "option_acks",
    "option_maps",
    "option_values",
    "payloads",
    "raw_request",
    "read_requests",
    "sizes",
    "texts",
    "traversals",
    "valid_datagrams",
    "valid_packets",
    "well_formed_requests",
    "windowsizes",
    "write_requests",
]
