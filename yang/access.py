"""Users and what they may do (NACM, RFC 8341)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has been authenticated.

    Attributes:
        name: user name.
        groups: groups that the transport or AAA gave; those of the NACM configuration are looked up
            whenever a decision is made, so that a change of NACM takes effect at once.
        recovery: NACM does not apply (RFC 8341 section 3.1.2): the element itself and its startup.
    """

    name: str
    groups: frozenset[str] = frozenset()
    recovery: bool = False


class AccessControl:
    """NACM decisions for the running configuration."""
