"""The checks that planted bugs are run against: properties, machines and scopes that the suite has.

Each is a test of the suite, or what a test runs, with another number of examples; nothing is checked
here that is not checked there, but for the worlds (`tests.quality.worlds`).
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from snowowl.content.beneath import Directory, Root
from snowowl.content.temporary import Temporary
from snowowl.datagram.layouts import LINUX
from tests.content import test_beneath, test_names, test_sink, test_temporary
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
from tests.protocol.link import Coupling, Fates
from tests.quality.finding import CHECKS, Check, Tally, case_check, property_check, quick
from tests.quality.worlds import in_worlds
from tests.wire import test_codec, test_netascii, test_options


def machine(tally: Tally) -> None:
    """Play both sides of a transfer over a link that Hypothesis plays."""

    class Counted(test_machine.Transferring):
        def __init__(self) -> None:
            super().__init__()
            tally.next()

    chosen = settings(quick(tally.wanted), stateful_step_count=40)
    run_state_machine_as_test(Counted, settings=chosen)


def fates_check(test: Callable[[test_exhaustive.Couple, int], None]) -> Check:
    """Return a check that runs every combination of fates of a test, in both directions."""

    def check(tally: Tally) -> None:
        real = test_exhaustive.run

        def counted(
            couple: test_exhaustive.Couple, content: bytes, options: object, fates: Fates
        ) -> Coupling:
            tally.next()
            return real(couple, content, options, fates)  # type: ignore[arg-type]

        with mock.patch.object(test_exhaustive, "run", counted):
            for windowsize in (3, 1, 2):
                for couple in (test_exhaustive.reading, test_exhaustive.writing):
                    test(couple, windowsize)

    return check


def _with_socket(test: object) -> Check:
    def check(tally: Tally) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            property_check(test, sock=sock)(tally)

    return check


def any_path(tally: Tally) -> None:
    """Open whatever Hypothesis thinks of beneath a root with every kind of link."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "secret").write_bytes(b"secret")
        tree = top / "root"
        (tree / "dir/deep").mkdir(parents=True)
        for each in ("file", "dir/file", "dir/deep/file"):
            (tree / each).write_bytes(b"inside")
        for link, target in {"climb": "../secret", "escape": "..", "to_dir": "dir"}.items():
            (tree / link).symlink_to(target)
        with Root(tree) as root:
            property_check(
                test_beneath.test_no_name_opens_a_foreign_octet, any_root=root, tree=tree
            )(tally)


def reaches_the_disk(tally: Tally) -> None:
    """See in which order an upload is synced and named."""

    def case(tmp_path: Path) -> None:
        def make(name: bytes) -> Temporary:
            fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
            return Temporary(Directory(fd), name, "named")

        test = test_temporary
        order = test.test_the_octets_are_on_the_disk_before_the_name_and_the_name_before_the_end
        case_check(order, make=make, tmp_path=tmp_path)(Tally(1))

    case_check(case)(tally)


CHECKS.update(
    {
        "machine": machine,
        "acks in lock-step": property_check(
            test_totality.test_in_lock_step_each_block_is_sent_once_whatever_acks_come
        ),
        "acks in a window": property_check(
            test_totality.test_without_progress_a_window_is_sent_again_once
        ),
        "every doubling": fates_check(
            test_exhaustive.test_no_doubling_goes_on_to_the_end_of_the_file
        ),
        "every beginning": fates_check(
            partial(test_exhaustive.test_every_beginning_is_survived, size=8)
        ),
        "every middle": fates_check(test_exhaustive.test_every_middle_is_survived),
        "sender against the model": property_check(
            test_differential.test_a_sender_does_what_the_model_does
        ),
        "receiver against the model": property_check(
            test_differential.test_a_receiver_does_what_the_model_does
        ),
        "joined data": property_check(
            test_differential.test_datagrams_that_were_joined_do_what_they_do_one_by_one, make=1
        ),
        "no event": property_check(test_totality.test_no_event_makes_a_machine_raise),
        "no datagram": property_check(test_totality.test_no_datagram_makes_a_machine_raise),
        "any error": case_check(
            *(
                partial(test_totality.test_an_error_is_never_answered, state=state, code=1)
                for state in test_totality.STATES
            )
        ),
        "forged requests": property_check(
            test_totality.test_an_unanswered_peer_is_sent_little_by_timers
        ),
        "the short way of the sender": property_check(
            test_sending_go_on.test_both_ways_lead_to_the_same
        ),
        "the short way of the receiver": property_check(
            test_receiving_take_block.test_the_short_way_is_the_long_one
        ),
        "our client, our server": property_check(
            test_negotiation.test_our_own_client_takes_what_our_own_server_grants
        ),
        "any grant": property_check(test_negotiation.test_checking_a_grant_never_raises),
        "what is left of a request": property_check(
            test_codec.test_what_is_left_of_a_request_is_read_as_it_stands
        ),
        "many options": case_check(test_codec.test_there_is_a_limit_to_options),
        "any value": property_check(test_options.test_reading_a_value_never_raises),
        "text in pieces": property_check(
            test_netascii.test_pieces_decode_and_encode_like_the_whole
        ),
        "a finished decoder": case_check(test_netascii.test_a_finished_decoder_holds_nothing_back),
        "any name": property_check(test_names.test_whatever_the_octets_no_component_climbs),
        "any path": any_path,
        "an upload cancelled at each step": case_check(
            test_sink.test_cancelled_anywhere_it_is_whole_or_nothing, kind="anonymous"
        ),
        "an upload reaches the disk": reaches_the_disk,
        "sends, whatever the kernel says": _with_socket(
            test_batch.test_what_goes_out_is_the_whole_but_for_what_is_reported
        ),
        "the plain rung": _with_socket(test_batch.test_it_does_what_the_portable_rung_does),
        "what arrives": property_check(test_slots.test_each_batch_is_what_arrived, layout=LINUX),
        "joined datagrams": case_check(
            test_slots.test_two_acks_that_were_joined_are_no_word,
            partial(test_slots.test_joined_datagrams, LINUX, 1000, 500, 500),
        ),
        "worlds": in_worlds,
    }
)
