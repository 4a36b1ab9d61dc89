"""The addresses of this machine: those that a listening address stands for."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from typing import Final

from snowowl.cli.doctor_checks.machine import Machine
from snowowl.config.listen import ListenAddress

ADDRESSES_MAX: Final = 6
"""Of a machine with a hundred interfaces, these few are looked at."""

_SIOCGIFADDR: Final = 0x8915  # include/uapi/linux/sockios.h
_IFREQ: Final = struct.Struct("=16s24s")


def hosts_of(listen: ListenAddress, machine: Machine) -> list[str]:
    """Return the addresses that requests may be sent to, loopback first."""
    if listen.host and not ipaddress.ip_address(listen.host).is_unspecified:
        return [listen.host]
    found = ipv4_hosts() if listen.host != "::" else []
    if listen.host != "0.0.0.0":  # noqa: S104 - compared only
        found += ipv6_hosts(machine)
    found.sort(key=lambda host: not ipaddress.ip_address(host).is_loopback)
    return found[:ADDRESSES_MAX]


def ipv4_hosts() -> list[str]:
    """Return the first IPv4 address of each interface."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(sock, _SIOCGIFADDR, _IFREQ.pack(name.encode(), bytes(24)))
            except OSError:  # it has none
                continue
            found.append(socket.inet_ntoa(_IFREQ.unpack(answer)[1][4:8]))
    return found


def ipv6_hosts(machine: Machine) -> list[str]:
    """Return the IPv6 addresses that are of more than one link."""
    found = []
    for line in machine.text("proc/net/if_inet6").splitlines():
        octets = line.split()[0] if line.split() else ""
        try:
            address = ipaddress.IPv6Address(bytes.fromhex(octets))
        except ValueError:
            continue
        if not address.is_link_local:
            found.append(str(address))
    return found
