"""All parsers that meet octets of a stranger, or files that a crash may have torn."""

from __future__ import annotations

from tests.fuzz import (
    of_access,
    of_bng,
    of_files,
    of_kea,
    of_kernel,
    of_management,
    of_netconf,
    of_radius,
    of_seam,
)
from tests.fuzz.runner import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        of_bng,
        of_kernel,
        of_radius,
        of_kea,
        of_seam,
        of_management,
        of_netconf,
        of_access,
        of_files,
    )
    for target in module.targets()
}
