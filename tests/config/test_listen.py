"""Addresses to listen on: literal only, and every refusal says how to write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowowl.config.listen import ListenAddress, parse_listen, parse_metrics_listen


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("*:69", "", 69),
        (":69", "", 69),
        ("*", "", 69),
        ("*:0", "", 0),
        ("10.0.0.1", "10.0.0.1", 69),
        ("10.0.0.1:6969", "10.0.0.1", 6969),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("[::]:69", "::", 69),
        ("[::1]", "::1", 69),
        ("[2001:DB8:0::1]:1069", "2001:db8::1", 1069),
        ("[fe80::1%eth0]:69", "fe80::1%eth0", 69),
    ],
)
def test_accepted(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == ListenAddress(host, port)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", 'write "*:69"'),
        ("localhost:69", "names are not looked up"),
        ("010.0.0.1:69", "not a literal address"),
        ("10.0.0.1/24", "not a literal address"),
        ("69", 'write "*:69"'),
        ("::1", "in brackets: [::1]:69"),
        ("::1:nonsense:x", "in brackets: [2001:db8::1]:69"),
        ("*:65536", "from 0 to 65535"),
        ("*:", "from 0 to 65535"),
        (":", "from 0 to 65535"),
        ("*:+1", "from 0 to 65535"),
        ("*: 1", "from 0 to 65535"),
        ("*:٣", "from 0 to 65535"),
        ("*:000069", "from 0 to 65535"),
        ("[::1", "[v6]:PORT"),
        ("[::1]69", "[v6]:PORT"),
        ("[::1]:x", "from 0 to 65535"),
        ("[]:69", "not an IPv6 address"),
        ("[10.0.0.1]:69", "not an IPv6 address"),
        ("[::ffff:10.0.0.1]:69", "write the IPv4 address itself: 10.0.0.1:69"),
        ("[fe80::1%" + "x" * 16 + "]:69", "not the name of an interface"),
        ("[fe80::1%a b]:69", "not the name of an interface"),
        ("[fe80::1%\ud800]:69", "not the name of an interface"),
    ],
)
def test_refused_with_advice(text: str, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_listen(text)
    assert part in str(caught.value)
    assert str(caught.value).isprintable()


PORTS = st.integers(0, 65535)
HOSTS = st.just("") | st.ip_addresses().map(str)


def reading(text: str) -> ListenAddress | str:
    try:
        return parse_listen(text)
    except ValueError as error:
        return str(error)


@given(HOSTS, PORTS)
def test_an_address_is_written_so_that_it_reads_back(host: str, port: int) -> None:
    address = ListenAddress(host, port)
    read = reading(str(address))
    assert read == address or "write the IPv4 address itself" in str(read)


@given(st.text() | st.text("[]:*.0123456789abcdef%", max_size=20))
def test_any_other_text_raises_value_error_only(text: str) -> None:
    read = reading(text)
    if isinstance(read, str):
        assert read.isprintable()
    else:
        assert reading(str(read)) == read


@pytest.mark.parametrize("text", ["127.0.0.1:9169", "[::1]:0", "unix:/run/snowowl/metrics.sock"])
def test_addresses_for_metrics(text: str) -> None:
    assert str(parse_metrics_listen(text)) == text


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "unix:relative", "unix:", "localhost:9169", "unix:/" + 107 * "x"]
)
def test_what_is_no_address_for_metrics(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_metrics_listen(text)
