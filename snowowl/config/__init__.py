"""Configuration: TOML into frozen attrs classes, with every problem reported at once.

The model is imported at once; what needs tomlkit and cattrs waits until it is used, so that a
program that embeds the server and configures it in Python never pays for them.  Nothing else may
be defined here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from snowowl.config.environment import (
    CONFIG_VARIABLE,
    VARIABLES,
    Change,
    from_environment,
    parse_port_range,
    unknown_variables,
)
from snowowl.config.limits import AccessConfig, LimitsConfig
from snowowl.config.listen import ListenAddress, parse_listen
from snowowl.config.model import Config, NamesConfig, ProtocolConfig, ServerConfig
from snowowl.config.outputs import AuditConfig, LogConfig, MetricsConfig
from snowowl.config.performance import (
    BatchConfig,
    FilesConfig,
    OffloadConfig,
    PerformanceConfig,
    PlatformConfig,
    SocketsConfig,
    ZeroCopyConfig,
)
from snowowl.config.problems import ConfigError, Problem
from snowowl.config.write import WriteConfig

if TYPE_CHECKING:
    from snowowl.config.document import default_document, dump_config
    from snowowl.config.load import load_config, parse_config
    from snowowl.config.overlay import override
    from snowowl.config.schema import json_schema

__all__ = [
    "CONFIG_VARIABLE",
    "VARIABLES",
    "AccessConfig",
    "AuditConfig",
    "BatchConfig",
    "Change",
    "Config",
    "ConfigError",
    "FilesConfig",
    "LimitsConfig",
    "ListenAddress",
    "LogConfig",
    "MetricsConfig",
    "NamesConfig",
    "OffloadConfig",
    "PerformanceConfig",
    "PlatformConfig",
    "Problem",
    "ProtocolConfig",
    "ServerConfig",
    "SocketsConfig",
    "WriteConfig",
    "ZeroCopyConfig",
    "default_document",
    "dump_config",
    "from_environment",
    "json_schema",
    "load_config",
    "override",
    "parse_config",
    "parse_listen",
    "parse_port_range",
    "unknown_variables",
]

# No module may be called like a name that it defines: importing it would hide the name here.
_LATER = {
    "default_document": "document",
    "dump_config": "document",
    "json_schema": "schema",
    "load_config": "load",
    "override": "overlay",
    "parse_config": "load",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what is slow to import when it is first used (PEP 562)."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
