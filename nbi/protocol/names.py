"""XML namespaces and capability URIs of NETCONF."""

from __future__ import annotations

from typing import Final

BASE_NS: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
NOTIFICATION_NS: Final = "urn:ietf:params:xml:ns:netconf:notification:1.0"
NETMOD_NOTIFICATION_NS: Final = "urn:ietf:params:xml:ns:netmod:notification"
MONITORING_NS: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
WITH_DEFAULTS_NS: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults"
NMDA_NS: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DATASTORES_NS: Final = "urn:ietf:params:xml:ns:yang:ietf-datastores"
PARTIAL_LOCK_NS: Final = "urn:ietf:params:xml:ns:netconf:partial-lock:1.0"
CONFIGURATION_NS: Final = "urn:aether:yang:aether-configuration"
YANG_NS: Final = "urn:ietf:params:xml:ns:yang:1"
"""Namespace of the YANG 1.1 element `action` (RFC 7950 section 7.15.2) and of YANG's errors."""

CAP_BASE_10: Final = "urn:ietf:params:netconf:base:1.0"
CAP_BASE_11: Final = "urn:ietf:params:netconf:base:1.1"
CAP_CANDIDATE: Final = "urn:ietf:params:netconf:capability:candidate:1.0"
CAP_CONFIRMED_COMMIT: Final = "urn:ietf:params:netconf:capability:confirmed-commit:1.1"
CAP_ROLLBACK_ON_ERROR: Final = "urn:ietf:params:netconf:capability:rollback-on-error:1.0"
CAP_PARTIAL_LOCK: Final = "urn:ietf:params:netconf:capability:partial-lock:1.0"
CAP_VALIDATE: Final = "urn:ietf:params:netconf:capability:validate:1.1"
CAP_XPATH: Final = "urn:ietf:params:netconf:capability:xpath:1.0"
CAP_NOTIFICATION: Final = "urn:ietf:params:netconf:capability:notification:1.0"
CAP_INTERLEAVE: Final = "urn:ietf:params:netconf:capability:interleave:1.0"
CAP_WITH_DEFAULTS: Final = "urn:ietf:params:netconf:capability:with-defaults:1.0"
CAP_YANG_LIBRARY: Final = "urn:ietf:params:netconf:capability:yang-library:1.1"


def qualified(namespace: str, name: str) -> str:
    """The name as lxml writes it: ``{namespace}name``."""
    return f"{{{namespace}}}{name}"


def split_tag(tag: str) -> tuple[str, str]:
    """Namespace (empty when there is none) and local name of an lxml tag."""
    if tag.startswith("{"):
        namespace, _, name = tag[1:].partition("}")
        return namespace, name
    return "", tag
