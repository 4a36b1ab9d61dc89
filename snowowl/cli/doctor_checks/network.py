"""The way to the network: interfaces, buffers, and what the kernel can do for us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from snowowl.cli.doctor_checks.finding import Finding, Subject, note, ok, warn
from snowowl.cli.doctor_checks.machine import Machine
from snowowl.server.datapath import system_network, without
from snowowl.server.policies import HEADERS_IPV4

MTU_ETHERNET: Final = 1500


def interfaces(subject: Subject) -> Iterator[Finding]:
    """Compare the MTU of the interfaces with the blocks that may be granted."""
    protocol = subject.config.protocol
    mtus = _mtus(subject.machine)
    if not mtus:
        return
    listed = ", ".join(f"{name} {mtu}" for name, mtu in sorted(mtus.items()))
    smaller = {name: mtu for name, mtu in mtus.items() if mtu < protocol.mtu}
    if smaller:
        yield warn(
            "mtu",
            f"protocol.mtu is {protocol.mtu}, more than that of {', '.join(sorted(smaller))}:"
            " blocks go out in fragments, which many boot ROMs cannot put together",
            "leave protocol.mtu out",
        )
        return
    if tight := [name for name, mtu in mtus.items() if mtu < MTU_ETHERNET]:
        yield note(
            "mtu",
            f"{', '.join(sorted(tight))} carries less than Ethernet ({listed}): blocks are made to fit",
        )
        return
    least = min(protocol.blksize_max, min(mtus.values()) - HEADERS_IPV4)
    yield ok("mtu", f"{listed}; blocks of up to {least} octets everywhere")


def _mtus(machine: Machine) -> dict[str, int]:
    try:
        names = os.listdir(machine.path("sys/class/net"))  # noqa: PTH208 - names are all we want
    except OSError:
        return {}
    up = [
        name for name in names if machine.text(f"sys/class/net/{name}/operstate").strip() != "down"
    ]
    found = {name: machine.number(f"sys/class/net/{name}/mtu") for name in up}
    return {name: mtu for name, mtu in found.items() if mtu}


def buffers(subject: Subject) -> Iterator[Finding]:
    """Compare the buffers that are asked for with what the kernel gives."""
    sockets = subject.config.performance.sockets
    for wanted_kb, limit, key in (
        (sockets.recv_buffer_kb, "rmem_max", "recv_buffer_kb"),
        (sockets.send_buffer_kb, "wmem_max", "send_buffer_kb"),
    ):
        most = subject.machine.number(f"proc/sys/net/core/{limit}")
        if most is None or not wanted_kb:
            continue
        if wanted_kb * 1024 <= most:
            yield ok("buffers", f"performance.sockets.{key} = {wanted_kb} is granted")
        elif subject.machine.euid == 0:
            yield ok("buffers", f"performance.sockets.{key} = {wanted_kb} is granted to root")
        else:
            yield note(
                "buffers",
                f"net.core.{limit} cuts performance.sockets.{key} down to {most // 1024} KiB:"
                " requests are lost when hundreds of boards ask at once",
                f"sysctl -w net.core.{limit}={wanted_kb * 1024}",
            )


def datapath(subject: Subject) -> Iterator[Finding]:
    """Say which way to the kernel works here."""
    network = system_network(subject.config)
    try:
        capabilities = network.capabilities
    finally:
        network.close()
    features = ", ".join(capabilities.features()) or "no more"
    yield ok("datapath", f"rung {capabilities.rung} with {features}")
    for warning in without(subject.config, capabilities):
        yield warn("datapath", warning, "turn it off, or get a kernel that has it")


def reverse_path(subject: Subject) -> Iterator[Finding]:
    """Name interfaces that drop what comes another way than answers would go."""
    machine = subject.machine
    folder = "proc/sys/net/ipv4/conf"
    try:
        names = sorted(os.listdir(machine.path(folder)))  # noqa: PTH208 - names are all we want
    except OSError:
        return
    # The kernel takes the larger of that of all and of the interface (ip-sysctl.rst).
    every = machine.number(f"{folder}/all/rp_filter") or 0
    own = {n: max(every, machine.number(f"{folder}/{n}/rp_filter") or 0) for n in names}
    strict = [
        name for name, value in own.items() if value == 1 and name not in ("all", "default", "lo")
    ]
    if len(strict) > 1:
        yield note(
            "routes",
            f"{_few(strict)}: packets are dropped that come in where their answers would not go"
            " out (rp_filter = 1)",
            "if boards behind a router get no answer: sysctl -w net.ipv4.conf.IFACE.rp_filter=2",
        )
    else:
        yield ok("routes", "no reverse path filter that could matter")


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 5 else f"{len(names)} interfaces"
