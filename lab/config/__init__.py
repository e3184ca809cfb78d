"""``aether.config.yaml``: its schema, its meaning, and errors that say where and what to change."""

from lab.config.errors import ConfigError, Problem
from lab.config.load import load_config, parse_config
from lab.config.model import (
    AccessModel,
    AccessNode,
    Bng,
    Customer,
    LabConfig,
    Plan,
    Publish,
    Service,
    ServiceAddresses,
    Timers,
    Upstream,
)

__all__ = [
    "AccessModel",
    "AccessNode",
    "Bng",
    "ConfigError",
    "Customer",
    "LabConfig",
    "Plan",
    "Problem",
    "Publish",
    "Service",
    "ServiceAddresses",
    "Timers",
    "Upstream",
    "load_config",
    "parse_config",
]
