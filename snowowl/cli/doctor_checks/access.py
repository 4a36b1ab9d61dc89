"""Who is served: what the addresses and the networks of the configuration come to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from snowowl.cli.doctor_checks.addresses import hosts_of
from snowowl.cli.doctor_checks.finding import Finding, Subject, note, ok, warn


def access(subject: Subject) -> Iterator[Finding]:
    """Say whether strangers could ask, and whether they would be served."""
    allow = subject.config.access.allow
    public = [
        host
        for listen in subject.config.server.addresses()
        for host in hosts_of(listen, subject.machine)
        if ipaddress.ip_address(host.partition("%")[0]).is_global
    ]
    everybody = [text for text in allow if ipaddress.ip_network(text, strict=False).prefixlen == 0]
    if public and everybody:
        yield warn(
            "access",
            f"{', '.join(public)} can be asked from anywhere, and access.allow has everybody",
            "name your own networks in access.allow: TFTP knows no passwords",
        )
    elif public and not allow:
        yield note(
            "access",
            f"{', '.join(public)} is public: only private and link-local clients are served there",
            'name the networks of others in access.allow, like ["198.51.100.0/24"]',
        )
    elif allow:
        yield ok("access", f"only {', '.join(allow[:5])}{' and more' if len(allow) > 5 else ''}")
    else:
        yield ok("access", "everybody, at private addresses only")
