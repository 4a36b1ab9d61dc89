from __future__ import annotations

import pytest

from snowowl.server.sources import host_of, is_answerable, source_key
from snowowl.testing.simnetwork import socket_address


def test_an_ipv4_address_is_a_source_however_it_comes_in() -> None:
    plain, mapped = socket_address("192.0.2.9", 1), socket_address("::ffff:192.0.2.9", 2)
    assert source_key(plain) == source_key(mapped) == host_of(mapped) == bytes((192, 0, 2, 9))
    assert source_key(socket_address("192.0.2.10", 1)) != source_key(plain)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1", "fe80::2", False),
        ("::1", "::1", True),
    ],
)
def test_ipv6_networks_are_sources_but_link_local_addresses_each(
    one: str, other: str, same: bool
) -> None:
    first, second = socket_address(one, 1000), socket_address(other, 2000)
    assert (source_key(first) == source_key(second)) is same
    assert len(host_of(first)) == 16


@pytest.mark.parametrize(
    ("host", "port", "answerable"),
    [
        ("192.0.2.9", 1, True),
        ("192.0.2.9", 0, False),
        ("0.0.0.0", 2000, False),
        ("::ffff:0.0.0.0", 2000, False),
        ("0.1.2.3", 2000, True),
        ("239.1.2.3", 2000, False),
        ("::ffff:224.0.0.1", 2000, False),
        ("240.0.0.1", 2000, True),
        ("255.255.255.255", 2000, False),
        ("::", 2000, False),
        ("::1", 2000, True),
        ("ff02::1", 2000, False),
        ("fe80::1", 2000, True),
        ("fe80::1", 0, False),
    ],
)
def test_an_address_that_is_not_of_one_host_can_be_answered_by_nobody(
    host: str, port: int, *, answerable: bool
) -> None:
    assert is_answerable(socket_address(host, port)) is answerable
