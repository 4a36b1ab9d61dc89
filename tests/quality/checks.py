"""The checks that planted bugs are run against: properties, machines and scopes that the suite has."""

from __future__ import annotations

import socket
from unittest import mock

import attrs
from hypothesis.stateful import run_state_machine_as_test

from snowowl.content.beneath import Root
from snowowl.datagram.layouts import LINUX
from tests.content import test_mapped, test_names, test_sink, test_temporary
from tests.datagram import test_batch, test_slots
from tests.protocol import (
    test_differential,
    test_exhaustive,
    test_machine,
    test_negotiation,
    test_receiving_take_block,
    test_sending_go_on,
    test_totality,
)
from tests.quality.finding import CHECKS, Check, Tally, case_check, property_check, quick
from tests.quality.worlds import in_worlds
from tests.wire import test_codec, test_netascii, test_options


def machine(tally: Tally) -> None:
    """Play both sides of a transfer over a link that Hypothesis plays."""

    class Counted(test_machine.Transferring):
        def __init__(self) -> None:
            super().__init__()
            tally.next()

    run_state_machine_as_test(
        Counted, settings=attrs_of(quick(tally.wanted), stateful_step_count=40)
    )
