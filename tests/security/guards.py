"""The rows of the checklist, each with a function that takes its guard away."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext

from snowowl.content import errors, names
from snowowl.content.allowance import Allowance, Claim
from snowowl.content.beneath import Root
from snowowl.content.errors import ContentError
from snowowl.content.names import NameRules
from snowowl.content.openat2 import Openat2
from snowowl.content.temporary import Temporary
from snowowl.observe import words
from snowowl.protocol import admission, buckets, negotiation, retransmit, sending, window
from snowowl.protocol.transfer import Transfer
from snowowl.server import access, guard, registry
from snowowl.server.exchange import Exchange
from snowowl.wire import codec, options
from snowowl.wire.constants import ErrorCode
from snowowl.wire.packets import Mode, OptionAck, ReadRequest, Request
from tests.quality.planting import Patch, everywhere
from tests.security.rows import row


@row(
    1,
    "option parsing overflow (`utimeout`; tftp-hpa < 5.1)",
    "`wire.options.parse_value`: at most 20 digits, a range for each option",
    "wire/test_options.py::test_a_value_has_twenty_digits_at_most",
    "wire/test_options.py::test_values_are_read_to_the_ends_of_their_ranges",
)
def any_number_is_a_value(patch: Patch) -> None:
    def parse_value(name: bytes, value_untrusted: bytes) -> int | None:
        return int(value_untrusted) if name in options.RANGES else None

    everywhere(patch, options.parse_value, parse_value)


@row(
    2,
    "path tokenizer bug, out-of-bounds read of a request (tftp-hpa <= 5.3)",
    "`wire.codec.decode_request`: one total parser, by NULs and nothing else",
    "wire/test_codec.py::test_decoding_is_total_and_stable",
    "wire/test_codec.py::test_what_is_no_request",
)
def strings_are_taken_unlooked_at(patch: Patch) -> None:
    def decode_request(datagram: codec.Buffer) -> Request:
        strings = bytes(datagram[2:]).split(b"\0")
        return ReadRequest(
            strings[0], Mode(strings[1]), tuple(zip(strings[2::2], strings[3::2], strict=True))
        )

    everywhere(patch, codec.decode_request, decode_request)


@row(
    3,
    "heap overflow, NULL dereference in a request (dnsmasq < 2.50)",
    "no memory to overflow; `wire.codec` raises nothing but MalformedPacket, which fuzzing looks for",
    "wire/test_codec.py::test_decoding_is_total_and_stable",
)
def decoding_raises_what_it_likes(patch: Patch) -> None:
    strings_are_taken_unlooked_at(patch)


@row(
    4,
    "the length of an ERROR leaks memory (dnsmasq < 2.77)",
    "`wire.codec.encode`: a text of bounded length, and nothing behind it",
    "wire/test_codec.py::test_the_text_of_an_error_is_short_and_ascii",
)
def errors_of_any_length(patch: Patch) -> None:
    patch(codec, "ERROR_MESSAGE_MAX", 1 << 16)


@row(
    5,
    "denial of service by many requests at once (atftpd CVE-2020-6097, CVE-2021-41054)",
    "`limits.transfers_max`, `client_transfers_max`, `unanswered_max`",
    "protocol/test_admission.py::test_a_full_server_refuses_what_is_new_and_repeats_what_it_has",
    "server/test_acceptor.py::test_more_transfers_than_allowed_are_refused",
)
def any_number_of_transfers(patch: Patch) -> None:
    def admit(
        request: codec.Buffer,
        standing_request: codec.Buffer | None,
        standing: Transfer | None,
        *,
        active: int,
        active_max: int,
    ) -> admission.Verdict:
        del active_max
        return real(request, standing_request, standing, active=active, active_max=active + 1)

    real = admission.admit
    everywhere(patch, real, admit)


@row(
    6,
    "long file name, long ERROR text, format string (tftpd32, TFTP Server SP, Serva, IOS)",
    "bounded names (`content.names`), text that is bounded and escaped before it is logged",
    "observe/test_log.py::test_lines_are_bounded",
)
def text_of_any_length(patch: Patch) -> None:
    patch(words, "_TEXT_MAX", 1 << 30)
    patch(names, "DISPLAY_MAX", 1 << 30)
    everywhere(patch, names.display, lambda name, limit=100: name.decode("latin-1"))


@row(
    7,
    "relative path traversal (Erlang, ptftpd, py3tftp, fbtftp, tqftpserv)",
    "`content.names.components` refuses `..` wherever it stands; the kernel confines (openat2)",
    "content/test_names.py::test_whatever_the_octets_no_component_climbs",
    "content/test_beneath.py::test_no_name_opens_a_foreign_octet",
)
def names_and_paths_climb(patch: Patch) -> None:
    def components(
        name_untrusted: bytes, rules: NameRules, *, writing: bool = False
    ) -> tuple[bytes, ...]:
        del rules, writing
        return tuple(part for part in name_untrusted.split(b"/") if part not in (b"", b"."))

    everywhere(patch, names.components, components)
    patch(Root, "open", open_by_path)


def open_by_path(self: Root, components: Sequence[bytes], flags: int, mode: int = 0) -> int:
    """Open as if there were no root."""
    try:
        return os.open(os.path.join(self._path, *components), flags, mode)  # noqa: PTH118
    except (OSError, ValueError) as error:
        raise ContentError(ErrorCode.FILE_NOT_FOUND, "file not found") from error


@row(
    8,
    "prefix check without separator, escape by symbolic link (ptftpd, netius)",
    "`content.beneath`: resolution beneath a directory descriptor; links may not leave it",
    "content/test_beneath.py::test_what_lies_outside_or_nowhere_is_refused",
    "content/test_beneath.py::test_a_directory_swapped_for_a_link_leads_nowhere_else",
)
def links_are_followed_anywhere(patch: Patch) -> None:
    patch(Openat2, "open_cached", lambda self, path, flags: None)
    patch(Root, "open", open_by_path)


@row(
    9,
    "one datagram ends the server: a file name that is not ASCII (tftpy)",
    "names are octets until the kernel gets them",
    "wire/test_codec.py::test_a_file_name_is_octets",
)
def names_are_text(patch: Patch) -> None:
    real = codec.decode_request

    def decode_request(datagram: codec.Buffer) -> Request:
        request = real(datagram)
        request.filename.decode("ascii")
        return request

    everywhere(patch, real, decode_request)


@row(
    10,
    "one datagram ends the server: `blksize=abc` (tftpy)",
    "rule R2: a value that is none is as if it had not been sent",
    "wire/test_options.py::test_reading_a_value_never_raises",
    "protocol/test_negotiation.py::test_an_option_that_makes_no_sense_is_left_out",
)
def values_must_be_numbers(patch: Patch) -> None:
    any_number_is_a_value(patch)


@row(
    11,
    "one datagram ends the server: fewer than two octets (tftpy, fbtftp, hikvision_tftpd)",
    "`wire.codec.opcode_of` is total",
    "wire/test_codec.py::test_each_decoder_is_total",
)
def opcodes_are_there(patch: Patch) -> None:
    everywhere(patch, codec.opcode_of, lambda datagram: (datagram[0] << 8) | datagram[1])


@row(
    12,
    "silly options accepted: blksize 0 or 65535, timeout 0, 4 GiB in flight (fbtftp, tftpy, rs-tftpd)",
    "ranges of the RFCs; `limits.window_octets_max`",
    "protocol/test_negotiation.py::test_an_option_that_makes_no_sense_is_left_out",
)
def every_value_is_granted(patch: Patch) -> None:
    patch(options, "RANGES", dict.fromkeys(options.RANGES, (0, 1 << 62)))


@row(
    13,
    "a stray packet of somebody else ends a transfer (fbtftp)",
    "rule R7: packets belong to a transfer by their whole address; strangers get ERROR 5",
    "server/test_exchange.py::test_a_stranger_gets_error_5_and_an_error_gets_nothing",
)
def strangers_get_no_error(patch: Patch) -> None:
    patch(Exchange, "_answer_stray", lambda self, received: None)


@row(
    14,
    "amplification and reflection, some 60 times (599,600 open servers; attacks of 1.2 Gb/s)",
    "three datagrams to who has not answered, and no window; token buckets; ERRORs no longer than"
    " requests; private networks only at public addresses",
    "protocol/test_totality.py::test_an_unanswered_peer_is_sent_little_by_timers",
    "server/test_guard.py::test_who_never_answers_gets_no_more_than_its_rate",
    "server/test_guard.py::test_strays_are_answered_as_seldom",
    "server/test_access.py::test_at_a_public_address_the_world_is_not_served_unless_allowed",
    "server/test_amplification.py::test_no_kind_of_datagram_makes_an_amplifier",
)
def whoever_asks_is_answered(patch: Patch) -> None:
    real = codec.encode_error
    everywhere(patch, real, lambda code, message, asked_octets=None: real(code, message))
    patch(guard.Guard, "take_error", lambda self, peer, now: True)
    patch(buckets.Rate, "take", lambda self, full_at, now, *, reserve=0.0: full_at)
    patch(access.Access, "serves", lambda self, host, local: True)
    patch(retransmit.RetransmitTimer, "expired", _for_ever)


def _for_ever(self: retransmit.RetransmitTimer, now: float) -> bool:
    del now
    self.retries += 1
    return self.retries < 100


@row(
    15,
    "retransmission storm, Sorcerer's Apprentice (tftp-hpa <= 5.3, atftpd)",
    "a duplicate ACK never causes DATA in lock-step; a window is sent again once for each timeout",
    "protocol/test_totality.py::test_in_lock_step_each_block_is_sent_once_whatever_acks_come",
)
def duplicate_acks_cause_data(patch: Patch) -> None:
    def again(self: sending.Sending, now: float) -> object:
        return self._go_back(now)

    patch(sending.Sending, "_duplicate_ack_received", again)


@row(
    16,
    "uploads fill the disk, overwrite, are world-writable (many)",
    "`write.size_max`, `quota`, `free_min`, `limits.uploads_max`; link and RENAME_NOREPLACE;"
    " `write.mode`",
    "content/test_allowance.py::test_what_is_announced_must_fit_and_is_reserved_with_the_first_block",
    "content/test_allowance.py::test_too_many_uploads_are_told_to_try_again",
    "content/test_allowance.py::test_the_free_space_is_kept_by_all_writers_together",
    "content/test_temporary.py::test_what_exists_is_not_overwritten_by_accident",
)
def uploads_take_what_they_like(patch: Patch) -> None:
    patch(Allowance, "_beyond_quota", lambda self, more: False)
    patch(Allowance, "claim", lambda self, tsize: _claim(self))
    patch(Allowance, "writing", lambda self, free, octets: nullcontext())
    publish = Temporary.publish
    patch(Temporary, "publish", lambda self, **_: publish(self, overwrite=True))


def _claim(allowance: Allowance) -> Claim:
    claim = Claim(allowance, 0)
    allowance._claims[claim] = None
    return claim


@row(
    17,
    "runs as root for its chroot; `--secure` turns checks of paths off (tftpd-hpa)",
    "`snowowl.host`: another user for good, no capabilities, Landlock, and a look whether it is so",
    "host/test_privileges.py::test_nothing_is_left",
    "host/test_privileges.py::test_no_way_back",
    "host/test_landlock.py::test_what_is_read",
)
def root_stays_root(patch: Patch) -> None:
    from tests.host import scripts

    unguarded = (
        "import snowowl.host.privileges as p, snowowl.host.landlock as l\n"
        "p.become = lambda identity: None\np.verify = p.become\np.renounce = lambda: None\n"
        "l.restrict = lambda rules, **_: 0\n"
    )
    patch(scripts, "FIRST", unguarded)


@row(
    18,
    "log injection by file names and error texts",
    "`content.names.display`, `observe.words.printable`",
    "observe/test_log.py::test_nothing_forges_a_line",
    "observe/test_words.py::test_printable",
)
def text_is_shown_as_it_is(patch: Patch) -> None:
    everywhere(patch, words.printable, lambda text_untrusted: text_untrusted)
    everywhere(patch, names.display, lambda name, limit=100: name.decode("latin-1"))


@row(
    19,
    "a server's OACK attacks its client (curl, tftp-hpa, lwIP)",
    "`protocol.negotiation.check_grant` trusts no value",
    "protocol/test_negotiation.py::test_a_grant_that_is_wrong_is_told_in_words",
    "protocol/test_initiate.py::test_an_oack_that_is_wrong_is_refused",
)
def every_grant_is_taken(patch: Patch) -> None:
    def check_grant(asked: object, grant: OptionAck) -> negotiation.Terms:
        del asked
        values = {name: int(re.sub(rb"\D", b"", value) or b"1") for name, value in grant.options}
        return negotiation._terms(values, grant.options, 0)

    everywhere(patch, negotiation.check_grant, check_grant)


@row(
    20,
    "an ERROR's text names paths of the server (fbtftp, dnsmasq)",
    "`content.errors`: a message for the peer, details for the log",
    "content/test_errors.py::test_the_message_names_no_path_and_the_detail_no_raw_octets",
)
def errors_say_what_the_system_says(patch: Patch) -> None:
    everywhere(
        patch,
        errors.from_os_error,
        lambda error, detail: ContentError(ErrorCode.NOT_DEFINED, f"{error} {detail}", detail),
    )


@row(
    21,
    "in single-port mode any forged packet steers a transfer",
    "the whole address of the peer; an ACK must be of a block in flight; in the other modes a port that"
    " nobody else knows, until the client has answered",
    "protocol/test_window.py::test_acks_of_blocks_in_flight_are_told_from_all_others",
    "server/test_exchanges.py::test_who_has_not_answered_yet_has_a_port_that_nobody_else_knows",
    "server/test_exchanges.py::test_nobody_uploads_in_the_name_of_another",
)
def every_ack_moves_the_window(patch: Patch) -> None:
    patch(window.SendWindow, "acknowledged_by", lambda self, number: number & 0xF)
    patch(registry.Admitted, "is_stranger", False)


@row(
    22,
    "shell hooks with parts of a file name (hooktftp)",
    "nothing is ever run by a shell, and nothing that a client says is run at all",
    "security/test_no_shell.py::test_nothing_is_run_by_a_shell",
)
def a_hook_is_run_by_a_shell(patch: Patch) -> None:
    from tests.security import test_no_shell

    patch(test_no_shell, "ADDED", "import os\nos.system('hook ' + name)\n")
