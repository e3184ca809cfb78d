"""`oss.json`: what this process is told when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$"
"""`aether-types:name`: safe in file names, RADIUS attributes and SQL."""
AGENT_ID_PATTERN = r"^[!-~]+$"
"""`aether-types:agent-id`: a circuit-id or remote-id as printable ASCII."""


class ConfigError(Exception):
    """The file cannot be used; the text says what to change."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Listen(_Strict):
    """Where the HTTP server listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class BngTarget(_Strict):
    """How a BNG is reached over NETCONF (RFC 6242)."""

    bng_id: str = Field(pattern=NAME_PATTERN, max_length=64)
    host: str
    port: int = Field(830, ge=1, le=65535)
    username: str
    password: str


class Admin(_Strict):
    """The first user; made when there is no user yet."""

    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=8, max_length=256)


class SeedPlan(_Strict):
    name: str = Field(pattern=NAME_PATTERN, max_length=64)
    download_kbps: int = Field(ge=8, le=100_000_000)
    upload_kbps: int = Field(ge=8, le=100_000_000)
    download_burst_kbit: int | None = Field(None, ge=12, le=2_000_000)
    upload_burst_kbit: int | None = Field(None, ge=12, le=2_000_000)
    price: float = Field(0, ge=0)
    description: str = ""


class SeedCustomer(_Strict):
    name: str
    email: str | None = None
    phone: str | None = None
    street: str | None = None
    city: str | None = None
    zip: str | None = None
    state: str | None = None


class SeedService(_Strict):
    customer: str
    plan: str
    bng_id: str
    remote_id: str
    circuit_id: str


class Seed(_Strict):
    """What a new database starts with; existing rows are left alone."""

    plans: list[SeedPlan] = []
    customers: list[SeedCustomer] = []
    services: list[SeedService] = []


class AccessNode(_Strict):
    """An access node that services may be attached to."""

    bng_id: str
    remote_id: str = Field(pattern=AGENT_ID_PATTERN, max_length=63)
    ports: int = Field(ge=1, le=4096)
    access_model: Literal["bridged", "routed"] = "bridged"


class Config(BaseModel):
    """All of `oss.json`. Unknown keys at the top are ignored, so that a newer lab may add some."""

    model_config = ConfigDict(extra="ignore")

    database: str
    radius_database: str
    listen: Listen = Listen()
    bngs: list[BngTarget] = []
    radius_user_password: str = Field(min_length=1, max_length=128)
    admin: Admin
    seed: Seed = Seed()
    access_nodes: list[AccessNode] = []
    secure_cookie: bool = False
    """Set when the console is served over TLS: the cookie is then never sent in clear."""


def load(path: Path) -> Config:
    """Read and check the file.

    Raises:
        ConfigError: it is missing, not JSON, or a value is wrong.
    """
    try:
        return Config.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
