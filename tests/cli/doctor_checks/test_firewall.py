"""Hints at firewalls and address translation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from snowowl.cli.doctor_checks.finding import Level
from snowowl.cli.doctor_checks.firewall import container, firewall, translation
from tests.cli.doctor_checks.machines import levels, machine, subject


def test_no_firewall(tmp_path: Path) -> None:
    assert levels(list(firewall(subject(machine(tmp_path))))) == [Level.OK]


@pytest.mark.parametrize(
    ("tool", "typed"),
    [
        ("usr/bin/firewall-cmd", "firewall-cmd --permanent --add-port=5000-5009/udp"),
        ("usr/sbin/ufw", "ufw allow 5000:5009/udp"),
        ("usr/sbin/nft", "udp dport 5000-5009 accept"),
        ("sbin/iptables", "--dport 5000:5009 -j ACCEPT"),
    ],
)
def test_the_ports_to_open_in_the_words_of_the_tool(tool: str, typed: str, tmp_path: Path) -> None:
    at = machine(tmp_path, {tool: ""})
    (finding,) = firewall(subject(at, server__port_range=[5000, 5009]))
    assert typed in finding.advice
    assert "69" in finding.advice
    (finding,) = firewall(subject(at, server__tid="listen"))
    assert "5000" not in finding.advice
    (finding,) = firewall(subject(at))
    assert "--single-port" in finding.advice


def test_the_helper_of_connection_tracking(tmp_path: Path) -> None:
    files = {"usr/sbin/nft": "", "proc/modules": "nf_conntrack 1 0\n"}
    _, finding = firewall(subject(machine(tmp_path, files)))
    assert "modprobe nf_conntrack_tftp" in finding.advice
    files["proc/modules"] += "nf_conntrack_tftp 1 0\n"
    assert len(list(firewall(subject(machine(tmp_path, files))))) == 1


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, "a Docker container"),
        ({"run/.containerenv": ""}, {}, "a Podman container"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "a pod of Kubernetes"),
        ({"proc/1/cgroup": "0::/kubepods/x"}, {}, "a container"),
    ],
)
def test_signs_of_a_container(
    files: Mapping[str, object], environ: Mapping[str, str], kind: str | None, tmp_path: Path
) -> None:
    at = machine(tmp_path, files, environ)
    assert container(at) == kind
    (finding,) = translation(subject(at))
    assert finding.level is (Level.OK if kind is None else Level.WARN)
    assert kind is None or "--single-port" in finding.advice
    (finding,) = translation(subject(at, server__tid="listen"))
    assert finding.level is Level.OK
