"""From a RADIUS answer to what is enforced."""

from __future__ import annotations

from collections.abc import Mapping

from bng.session.events import RadiusAccept
from bng.session.settings import Policy, Profile

MIN_RATE, MAX_RATE = 8_000, 100_000_000_000
"""Bits per second; aether-types:bit-rate."""
MIN_BURST, MAX_BURST = 1_500, 268_435_456
"""Octets; aether-types:burst-size."""
MIN_INTERIM, MAX_INTERIM = 10, 86_400
"""Seconds; bounds of aether-bng:interim-interval."""
MAX_TIMEOUT = 10 * 365 * 86_400
"""Seconds; a longer timeout is as good as none, and stays inside of what times can hold."""


def of_profile(name: str, profile: Profile) -> Policy:
    """The policy that a profile stands for."""
    return Policy(
        name,
        profile.download_rate,
        profile.upload_rate,
        profile.download_burst,
        profile.upload_burst,
        profile.priority,
    )


def of_accept(accept: RadiusAccept, profiles: Mapping[str, Profile]) -> Policy | str:
    """What an Access-Accept grants, or a sentence that says why that is nothing.

    The first Filter-Id that names a profile wins; else the vendor's speeds count.
    """
    for name in accept.filter_ids:
        if name in profiles:
            return of_profile(name, profiles[name])
    down, up = accept.download_kbps, accept.upload_kbps
    if down is None and up is None:
        if accept.filter_ids:
            return f"Access-Accept names an unknown shaping profile: {accept.filter_ids[0]}"
        return "Access-Accept has neither Filter-Id nor speeds"
    if down is None or up is None:
        return "Access-Accept has the speed of one direction only"
    download, upload = down * 1000, up * 1000
    for rate in (download, upload):
        if not MIN_RATE <= rate <= MAX_RATE:
            return f"Access-Accept has a speed of {rate // 1000} kbit/s, outside of 8 to 100000000"
    return Policy(
        None, download, upload, _burst(accept.download_burst_kbit), _burst(accept.upload_burst_kbit)
    )


def conflict(accept: RadiusAccept, ip_address: str) -> str:
    """A sentence that says why an Access-Accept is not for the address that the lease bound; empty when it
    is. The DHCP server has the last word about addresses: a session cannot be given another one."""
    wanted = accept.framed_ip_address
    if wanted is None or wanted == ip_address:
        return ""
    return f"Access-Accept wants address {wanted}, the lease is for {ip_address}"


def _burst(kbit: int | None) -> int | None:
    """Octets of a burst in kbit, within bounds; None for none or zero."""
    return min(max(kbit * 125, MIN_BURST), MAX_BURST) if kbit else None


def interim_of(accept: RadiusAccept) -> int:
    """Acct-Interim-Interval within our bounds; 0 when it is absent or zero."""
    return min(max(accept.interim_interval, MIN_INTERIM), MAX_INTERIM) if accept.interim_interval else 0


def timeout_of(seconds: int | None, configured: int = 0) -> int:
    """A timeout within what we can keep; the configured one when it is absent, 0 for none."""
    return min(configured if seconds is None else seconds, MAX_TIMEOUT)
