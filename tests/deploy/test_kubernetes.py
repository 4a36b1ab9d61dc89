"""The manifests for Kubernetes: their commands, flags and configuration are real ones."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from snowowl.cli.check import check
from snowowl.cli.serve import serve
from snowowl.client import parse_url
from snowowl.config import Config, parse_config
from tests.deploy.manifests import FOLDER, at, containers, documents, items, number, words

FILES = sorted((FOLDER / "kubernetes").glob("*.yaml"))
COMMANDS: dict[str, click.Command] = {"check": check, "serve": serve}


def config_of(file: Path) -> Config:
    (text,) = [
        at(document, "data")["snowowl.toml"]  # type: ignore[index]
        for document in documents(file)
        if document["kind"] == "ConfigMap"
    ]
    return parse_config(text)


def parsed(arguments: list[str]) -> dict[str, object]:
    """Return the parameters that a command's words mean.  Raises click.UsageError."""
    command = COMMANDS[arguments[0]]
    return command.make_context(arguments[0], arguments[1:]).params


def test_both_forms_are_there() -> None:
    assert [file.stem for file in FILES] == ["host-network", "single-port"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestEach:
    def test_the_configuration_is_valid(self, file: Path) -> None:
        config = config_of(file)
        assert config.warnings() == ()
        assert str(config.server.root) == "/srv/tftp"

    def test_the_server_reads_what_is_mounted(self, file: Path) -> None:
        for document, container in containers(file):
            file_read = str(parsed(words(container, "args"))["file"])
            mounts = {
                str(at(mount, "mountPath")): str(at(mount, "name"))
                for mount in items(container, "volumeMounts")
            }
            folder, _, name = file_read.rpartition("/")
            volumes = {
                str(at(volume, "name")): volume
                for volume in items(document, "spec.template.spec.volumes")
            }
            assert set(mounts.values()) == set(volumes)
            named = at(volumes[mounts[folder]], "configMap.name")
            (holder,) = [
                d for d in documents(file) if at(d, "metadata.name") == named and "data" in d
            ]
            assert name in holder["data"]  # type: ignore[operator]
            assert str(config_of(file).server.root) in mounts

    def test_probes_ask_the_port_that_is_listened_on(self, file: Path) -> None:
        (address,) = config_of(file).server.addresses()
        for _, container in containers(file):
            assert at(container, "ports.0.containerPort") == address.port
            assert at(container, "ports.0.protocol") == "UDP"
            for probe in ("livenessProbe", "readinessProbe"):
                program, *arguments = words(container, f"{probe}.exec.command")
                assert program == "snowowl"
                found = parsed(arguments)
                assert parse_url(str(found["url"])).port == address.port
                # Or the probe ends before the check has said why.
                assert number(container, f"{probe}.timeoutSeconds") > float(str(found["timeout"]))

    def test_there_is_time_to_drain(self, file: Path) -> None:
        for document, _ in containers(file):
            grace = number(document, "spec.template.spec.terminationGracePeriodSeconds")
            assert grace > config_of(file).server.drain_seconds

    def test_little_is_allowed(self, file: Path) -> None:
        for document, container in containers(file):
            pod = at(document, "spec.template.spec")
            assert at(pod, "automountServiceAccountToken") is False
            own = at(container, "securityContext")
            assert at(own, "allowPrivilegeEscalation") is False
            assert at(own, "readOnlyRootFilesystem") is True
            assert words(own, "capabilities.drop") == ["ALL"]
            profile = at(own, "seccompProfile.type") or at(
                pod, "securityContext.seccompProfile.type"
            )
            assert profile == "RuntimeDefault"
            assert at(container, "resources.limits.memory")
            root = at(own, "runAsUser") == 0
            assert root or at(pod, "securityContext.runAsNonRoot") is True
            # Root only where a low port is bound, with what that and leaving root need.
            added = words(own, "capabilities.add")
            assert added == (["NET_BIND_SERVICE", "SETUID", "SETGID"] if root else [])
            assert not root or config_of(file).server.user != "root"

    def test_labels_find_their_pods(self, file: Path) -> None:
        for document, _ in containers(file):
            labels = at(document, "spec.template.metadata.labels")
            assert isinstance(labels, dict)
            assert at(document, "spec.selector.matchLabels") == labels
            for service in documents(file):
                if service["kind"] == "Service":
                    selector = at(service, "spec.selector")
                    assert isinstance(selector, dict)
                    assert selector.items() <= labels.items()


def test_behind_a_service_answers_come_from_the_listening_port() -> None:
    single = FOLDER / "kubernetes" / "single-port.yaml"
    assert config_of(single).server.tid == "listen"
    (service,) = [d for d in documents(single) if d["kind"] == "Service"]
    assert at(service, "spec.externalTrafficPolicy") == "Local"
    assert at(service, "spec.sessionAffinity") == "ClientIP"
    (port,) = items(service, "spec.ports")
    assert (at(port, "port"), at(port, "protocol")) == (69, "UDP")
    (found,) = containers(single)
    assert at(port, "targetPort") == at(found[1], "ports.0.name")


def test_the_other_has_the_network_of_the_node() -> None:
    host = FOLDER / "kubernetes" / "host-network.yaml"
    ((document, _),) = containers(host)
    assert document["kind"] == "DaemonSet"
    assert at(document, "spec.template.spec.hostNetwork") is True
    assert config_of(host).server.port_range is not None
