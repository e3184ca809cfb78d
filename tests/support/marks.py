"""What tests of a whole BNG need of the machine; without it they are skipped, and say so."""

from __future__ import annotations

import os
import shutil

import pytest

WHOLE_BNG = [
    pytest.mark.netns,
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        shutil.which("kea-dhcp4") is None or shutil.which("freeradius") is None,
        reason="Kea or FreeRADIUS is not installed",
    ),
]
