"""Capability URIs of a server's hello (RFC 6241 section 8, RFC 7950 section 5.6.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nbi.protocol import names


@dataclass(frozen=True, slots=True)
class ModuleCapability:
    """A module as a hello names it."""

    name: str
    namespace: str
    revision: str = ""
    features: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """``namespace?module=name&revision=…&features=…&deviations=…``"""
        parameters = [f"module={self.name}"]
        if self.revision:
            parameters.append(f"revision={self.revision}")
        if self.features:
            parameters.append(f"features={','.join(self.features)}")
        if self.deviations:
            parameters.append(f"deviations={','.join(self.deviations)}")
        return f"{self.namespace}?{'&'.join(parameters)}"


def server_capabilities(
    *,
    content_id: str,
    with_defaults: Sequence[str],
    modules: Iterable[ModuleCapability],
    url_schemes: Sequence[str] = (),
) -> list[str]:
    """All URIs of the server's hello.

    Args:
        content_id: of the YANG library (RFC 8525), which changes whenever the set of modules does.
        with_defaults: the modes of RFC 6243 that are supported, the basic mode first; empty for none.
        modules: those that are implemented, listed one by one beside the YANG library; RFC 5717 adds its
            capability by its module, as does draft-ietf-netconf-privcand.
        url_schemes: of the urls that may be given (RFC 6241 section 8.8); empty for none.
    """
    uris = [
        names.CAP_BASE_10,
        names.CAP_BASE_11,
        names.CAP_CANDIDATE,
        names.CAP_CONFIRMED_COMMIT,
        names.CAP_ROLLBACK_ON_ERROR,
        names.CAP_VALIDATE,
        names.CAP_STARTUP,
        names.CAP_XPATH,
        names.CAP_NOTIFICATION,
        names.CAP_INTERLEAVE,
    ]
    modules = tuple(modules)
    if any(module.namespace == names.PARTIAL_LOCK_NS for module in modules):
        uris.append(names.CAP_PARTIAL_LOCK)
    if any(module.namespace == names.PRIVATE_CANDIDATE_NS for module in modules):
        uris.append(names.CAP_PRIVATE_CANDIDATE)
    if url_schemes:
        uris.append(f"{names.CAP_URL}?scheme={','.join(url_schemes)}")
    if with_defaults:
        basic, *others = with_defaults
        also = f"&also-supported={','.join(others)}" if others else ""
        uris.append(f"{names.CAP_WITH_DEFAULTS}?basic-mode={basic}{also}")
        if any(module.namespace == names.NMDA_NS for module in modules):
            # operational reports what is in use (RFC 8342 section 5.3), unless it is asked otherwise
            other = ",".join(mode for mode in with_defaults if mode != "report-all")
            uris.append(f"{names.CAP_OPERATIONAL_DEFAULTS}?basic-mode=report-all&also-supported={other}")
    library = f"{names.CAP_YANG_LIBRARY}?revision=2019-01-04&content-id={quote(content_id, safe='')}"
    uris.append(library)
    uris.extend(module.uri for module in modules)
    return uris
