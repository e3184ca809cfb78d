"""How people's programs log in to the BNGs of a lab: ``netconf.json``, which `aether netconf` reads."""

from __future__ import annotations

import json

from lab.config import LabConfig
from lab.ports import Published
from lab.secrets import BNG_USERS, Secrets

DEFAULT_USER = "admin"


def netconf_logins(config: LabConfig, published: Published, secrets: Secrets) -> str:
    """Logins by BNG: host, port, the user that is taken by default, and the passwords of all."""
    logins = {
        bng.bng_id: {
            "host": published.address,
            "port": port,
            "username": DEFAULT_USER,
            "password": secrets.bng(bng.bng_id, DEFAULT_USER),
            "passwords": {user: secrets.bng(bng.bng_id, user) for user in BNG_USERS},
        }
        for bng, port in zip(config.bngs, published.netconf, strict=True)
    }
    return json.dumps(logins, indent=1) + "\n"
