"""What may stand between: firewalls, address translation, containers.  Hints: rules are not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from snowowl.cli.doctor_checks.finding import Finding, Subject, note, ok, warn
from snowowl.cli.doctor_checks.machine import Machine

_TOOLS: Final = (
    # (command, how to open a port or range, the separator of its ranges)
    ("firewall-cmd", "firewall-cmd --permanent --add-port={ports}/udp", "-"),
    ("ufw", "ufw allow {ports}/udp", ":"),
    ("nft", "nft add rule inet filter input udp dport {ports} accept", "-"),
    ("iptables", "iptables -A INPUT -p udp --dport {ports} -j ACCEPT", ":"),
)
_FOLDERS: Final = ("usr/sbin", "usr/bin", "sbin", "bin")


def firewall(subject: Subject) -> Iterator[Finding]:
    """Say which ports have to be open, in the words of the tool that is there."""
    machine, server = subject.machine, subject.config.server
    listening = sorted({str(address.port) for address in server.addresses() if address.port})
    tool = next((tool for tool in _TOOLS if _installed(tool[0], machine)), None)
    rules = _rules(machine)
    if tool is None and not rules:
        yield ok("firewall", "no tool for one is installed, and no rules are loaded")
        return
    _, words, dash = tool or _TOOLS[-1]
    ports = listening or ["PORT"]
    if server.tid != "listen" and server.port_range is not None:
        ports.append(dash.join(map(str, server.port_range)))
    typed = "; ".join(words.format(ports=port) for port in ports)
    needs = f"UDP {', '.join(ports)}"
    if server.tid != "listen" and server.port_range is None:
        yield note(
            "firewall",
            f"needs {needs} in, and the ports of transfers, which the kernel chooses, out and in",
            f"{typed}; then narrow the rest: --port-range 49152:50175, or --single-port",
        )
    else:
        yield note("firewall", f"needs {needs} in, and answers out", typed)
    if server.tid != "listen" and _tracks(machine) and "nf_conntrack_tftp" not in _modules(machine):
        yield note(
            "firewall",
            "connections are tracked, and the helper for TFTP is not loaded: a firewall or NAT here"
            " that only lets answers pass will drop them",
            "modprobe nf_conntrack_tftp and assign it to port 69, or serve with --single-port",
        )


def _installed(command: str, machine: Machine) -> bool:
    return any(machine.exists(f"{folder}/{command}") for folder in _FOLDERS)


def _modules(machine: Machine) -> set[str]:
    return {line.split()[0] for line in machine.text("proc/modules").splitlines() if line.split()}


def _tracks(machine: Machine) -> bool:
    """Say whether connections are tracked: `nf_conntrack` may also be built into the kernel."""
    count = machine.number("proc/sys/net/netfilter/nf_conntrack_count")
    return bool(count) or "nf_conntrack" in _modules(machine)


def _rules(machine: Machine) -> bool:
    names = machine.text("proc/net/ip_tables_names") + machine.text("proc/net/ip6_tables_names")
    return bool(names.strip()) or bool({"nf_tables", "ip_tables"} & _modules(machine))


def translation(subject: Subject) -> Iterator[Finding]:
    """Look for signs of a container, whose answers from other ports come to nothing."""
    sign = container(subject.machine)
    if sign is None:
        yield ok("nat", "no sign of a container")
    elif subject.config.server.tid == "listen":
        yield ok("nat", f"this is {sign}; answers come from the listening port, as is right there")
    else:
        yield warn(
            "nat",
            f"this is {sign}: unless it has the network of the host, answers from other ports than"
            " the listening one never arrive",
            "serve with --single-port (SNOWOWL_TID=listen), or give it the network of the host",
        )


def container(machine: Machine) -> str | None:
    """Name the kind of container this is, None if it is none that can be told."""
    if machine.environ.get("KUBERNETES_SERVICE_HOST"):
        return "a pod of Kubernetes"
    if machine.exists(".dockerenv"):
        return "a Docker container"
    if machine.exists("run/.containerenv") or machine.environ.get("container") == "podman":
        return "a Podman container"
    words = machine.text("proc/1/cgroup")
    if any(word in words for word in ("docker", "kubepods", "containerd", "lxc")):
        return "a container"
    return None
