"""Units of configuration, as management sends them over the command socket (docs/architecture.md).

RFC 7951 JSON with defaults: `merge` puts changed units into those that are known, `parse` makes a
`bng.config.Config` of them. The model was validated before; what is wrong here is what YANG cannot say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import pairwise
from typing import Any

import orjson

from bng.aaa import coa_settings
from bng.config import (
    Aaa,
    Config,
    Interface,
    LeaseApi,
    Listener,
    Periods,
    RadiusServer,
    Relay,
    Router,
    SessionsPolicy,
)
from bng.session.nat import NatPool
from bng.session.settings import Profile
from yang.provider import OperationError

Units = dict[str, Any]
Json = Mapping[str, Any]

_MAX_PUBLIC = 65_536
_NAT = "/aether-bng:bng/nat"
_KEYED = ("shaping-profiles", "access-routers")


def empty_units() -> Units:
    """The units of a BNG without configuration."""
    return {"bng": {}, "interfaces": {}, "shaping-profiles": {}, "access-routers": {}}


def merge(units: Units, changed: Mapping[str, Any]) -> Units:
    """Units with the changed ones in place; neither argument is altered.

    Raises:
        OperationError: the change holds something that is no unit.
    """
    merged = {**empty_units(), **units}
    for name, value in changed.items():
        if name not in merged or not isinstance(value, dict):
            raise OperationError("invalid-value", f"{name!r} is no unit of configuration")
        if name in _KEYED:
            entries = {**merged[name], **value}
            merged[name] = {key: entry for key, entry in entries.items() if entry is not None}
        else:
            merged[name] = value
    return merged


def difference(old: Units, new: Units) -> Units:
    """The units that lead from `old` to `new`; entries that are gone are None."""
    changed: Units = {}
    for name in empty_units():
        before, after = old.get(name, {}), new.get(name, {})
        if before == after:
            continue
        if name in _KEYED:
            entries = {
                key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)
            }
            changed[name] = entries
        else:
            changed[name] = after
    return changed


def digest(units: Units) -> str:
    """A fingerprint by which both processes see whether they mean the same configuration."""
    return hashlib.sha256(orjson.dumps(units, option=orjson.OPT_SORT_KEYS)).hexdigest()


def units_of(configuration: Json) -> Units:
    """The units of a whole RFC 7951 configuration."""
    profiles = configuration.get("aether-shaping:shaping-profiles", {}).get("profile", [])
    routers = configuration.get("aether-access-router:access-routers", {}).get("access-router", [])
    bng = dict(configuration.get("aether-bng:bng", {}))
    # The management process applies this part itself, at its start. Where it listens, control lets through.
    if servers := bng.pop("management", None):
        bng["management"] = {
            name: {key: server[key] for key in ("listen", "port") if key in server}
            for name, server in servers.items()
            if isinstance(server, dict)
        }
    return {
        "bng": bng,
        "interfaces": configuration.get("ietf-interfaces:interfaces", {}),
        "shaping-profiles": {entry["name"]: entry for entry in profiles},
        "access-routers": {entry["name"]: entry for entry in routers},
    }


def parse(units: Units) -> Config:
    """The typed configuration.

    Raises:
        OperationError: ``invalid-value``; the message and the path say what is wrong.
    """
    try:
        return _parse(units)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OperationError("invalid-value", f"the configuration cannot be understood: {error!r}") from None


def _parse(units: Units) -> Config:
    bng: Json = units["bng"]
    roles: Json = bng.get("interfaces", {})
    gateway = bng.get("routing", {}).get("default-gateway")
    bng_id = bng.get("identity", {}).get("bng-id", "")
    config = Config(
        bng_id=bng_id,
        subscriber=tuple(roles.get("subscriber", ())),
        upstream=roles.get("upstream"),
        dhcp_uplink=roles.get("dhcp-uplink"),
        default_gateway=None if gateway is None else IPv4Address(gateway),
        relay=_relay(bng.get("dhcp-relay", {}), bng_id),
        aaa=_aaa(bng.get("aaa", {}), bng_id),
        policy=SessionsPolicy(**_known(bng.get("sessions-policy", {}), SessionsPolicy)),
        nat_prefixes=_nat(bng.get("nat", {})),
        nat_pool=_nat_pool(bng.get("nat", {})),
        flow_limit=int(bng.get("nat", {}).get("flow-limit", 0)),
        listeners=tuple(
            Listener(tuple(server.get("listen", ())), int(server["port"]))
            for server in bng.get("management", {}).values()
            if "port" in server
        ),
        periods=Periods(**_known(bng.get("timers", {}), Periods)),
        interfaces={entry["name"]: _interface(entry) for entry in units["interfaces"].get("interface", ())},
        profiles={name: _profile(entry) for name, entry in units["shaping-profiles"].items()},
        routers={name: _router(entry) for name, entry in units["access-routers"].items()},
    )
    _check(config)
    return config


def _known(values: Json, cls: type) -> dict[str, Any]:
    names = {name.replace("_", "-"): name for name in cls.__dataclass_fields__}  # type: ignore[attr-defined]
    words = ("port-move", "second-device")
    return {
        names[key]: value if key in words else int(value) for key, value in values.items() if key in names
    }


def _relay(values: Json, bng_id: str) -> Relay:
    return Relay(
        servers=tuple(
            (server["address"], int(server.get("port", 67))) for server in values.get("server", ())
        ),
        relay_id=values.get("relay-id", bng_id),
        max_hops=int(values.get("max-hops", 4)),
        rate_limit=int(values.get("rate-limit", 20)),
        device_rate_limit=int(values.get("device-rate-limit", 10)),
        max_devices=int(values.get("max-devices", 8)),
        accept_unknown=values.get("unknown-access-routers", "accept") == "accept",
        lease_apis=tuple(
            _lease_api(server["address"], server["lease-api"])
            for server in values.get("server", ())
            if "lease-api" in server
        ),
    )


def _lease_api(address: str, values: Json) -> LeaseApi:
    return LeaseApi(
        address,
        int(values.get("port", 8000)),
        values.get("username", ""),
        values.get("password", ""),
        int(values.get("page-size", 200)),
    )


def _aaa(values: Json, bng_id: str) -> Aaa:
    servers = [
        RadiusServer(
            name=server["name"],
            address=server["address"],
            secret=server["secret"].encode(),
            auth_port=int(server.get("auth-port", 1812)),
            acct_port=int(server.get("acct-port", 1813)),
            timeout=int(server.get("timeout", 2000)) / 1000,
            retries=int(server.get("retries", 3)),
            priority=int(server.get("priority", 10)),
            status_server=bool(server.get("status-server", True)),
        )
        for server in values.get("server", ())
    ]
    unanswered = values.get("unanswered", {})
    return Aaa(
        nas_identifier=values.get("nas-identifier", bng_id),
        nas_ip_address=values.get("nas-ip-address"),
        user_password=values.get("user-password", ""),
        servers=tuple(sorted(servers, key=lambda server: (server.priority, server.name))),
        interim_interval=int(values.get("interim-interval", 30)),
        auth_retry_interval=int(values.get("auth-retry-interval", 10)),
        dynamic_authorization=coa_settings.parse(values.get("dynamic-authorization", {})),
        source_ports=int(values.get("source-ports", 8)),
        accounting_retention=int(values.get("accounting-retention", 86_400)),
        unanswered_action=unanswered.get("action", "hold"),
        unanswered_profile=unanswered.get("profile"),
    )


def _nat(values: Json) -> tuple[IPv4Network, ...] | None:
    if not values.get("enabled"):
        return None
    return tuple(IPv4Network(prefix, strict=False) for prefix in values.get("source-prefix", ()))


def _nat_pool(values: Json) -> NatPool | None:
    prefixes = [IPv4Network(prefix, strict=False) for prefix in values.get("public-prefix", ())]
    ranges = [(prefix[0], prefix[-1]) for prefix in prefixes]
    ranges += [
        (IPv4Address(entry["first-address"]), IPv4Address(entry["last-address"]))
        for entry in values.get("public-range", ())
    ]
    ranges.sort()
    _check_ranges(ranges)
    sources = _nat(values)
    if not sources or not ranges:
        return None
    return NatPool(
        tuple((str(first), str(last)) for first, last in ranges),
        tuple(str(source) for source in sources),
        int(values.get("port-block-size", 1024)),
    )


def _check_ranges(ranges: list[tuple[IPv4Address, IPv4Address]]) -> None:
    path = "/aether-bng:bng/nat/public-range"
    for first, last in ranges:
        if last < first:
            raise OperationError("invalid-value", f"the range from {first} ends before, at {last}", path=path)
    for (_, last), (first, _) in pairwise(ranges):
        if first <= last:
            raise OperationError("invalid-value", f"public address {first} is there twice", path=path)
    if sum(int(last) - int(first) + 1 for first, last in ranges) > _MAX_PUBLIC:
        raise OperationError("invalid-value", f"more than {_MAX_PUBLIC} public addresses", path=path)


def _check_pool(config: Config) -> None:
    """Public addresses are the pool's alone: what comes in for one without a flow is dropped."""
    if config.nat_pool is None:
        return
    taken = {
        address.ip: f"an address of {name}"
        for name, interface in config.interfaces.items()
        for address in interface.addresses or ()
    }
    if config.default_gateway is not None:
        taken[config.default_gateway] = "the default gateway"
    for ends in config.nat_pool.ranges:
        first, last = (IPv4Address(end) for end in ends)
        for address, what in taken.items():
            if first <= address <= last:
                reason = f"{address} is {what}, it cannot be a public address as well"
                raise OperationError("invalid-value", reason, path=_NAT)
        for source in config.nat_prefixes or ():
            if first <= source[-1] and source[0] <= last:
                reason = f"public addresses from {first} on are inside of source-prefix {source}"
                raise OperationError("invalid-value", reason, path=_NAT)


def _interface(values: Json) -> Interface:
    ipv4 = values.get("ietf-ip:ipv4")
    if ipv4 is None:
        return Interface(values["name"], bool(values.get("enabled", True)))
    addresses = tuple(_address(entry) for entry in ipv4.get("address", ()))
    mtu = ipv4.get("mtu")
    used = addresses if ipv4.get("enabled", True) else ()
    return Interface(
        values["name"], bool(values.get("enabled", True)), used, None if mtu is None else int(mtu)
    )


def _address(values: Json) -> IPv4Interface:
    """An ietf-ip address; its subnet is a prefix-length or a netmask."""
    length = values.get("prefix-length", values.get("netmask", 32))
    return IPv4Interface(f"{values['ip']}/{length}")


def _profile(values: Json) -> Profile:
    download, upload = values["download"], values["upload"]
    return Profile(
        download_rate=int(download["rate"]),
        upload_rate=int(upload["rate"]),
        download_burst=_optional(download.get("burst")),
        upload_burst=_optional(upload.get("burst")),
        priority=int(values.get("priority", 4)),
    )


def _optional(value: Any) -> int | None:
    return None if value is None else int(value)


def _router(values: Json) -> Router:
    address = values.get("address")
    return Router(
        name=values["name"],
        remote_id=values["remote-id"],
        routed=values.get("access-model", "bridged") == "routed",
        in_service=values.get("admin-state", "up") == "up",
        interface=values.get("interface"),
        address=None if address is None else IPv4Address(address),
        subnets=tuple(IPv4Network(prefix, strict=False) for prefix in values.get("subnet", ())),
    )


def _check(config: Config) -> None:
    """What the model cannot say."""
    if config.upstream is not None and config.upstream in config.subscriber:
        raise OperationError(
            "invalid-value",
            f"{config.upstream} is a subscriber interface, it cannot be the upstream interface as well",
            path="/aether-bng:bng/interfaces/upstream",
        )
    if config.dhcp_uplink in config.subscriber and config.aaa.dynamic_authorization.serves:
        raise OperationError(
            "invalid-value",
            f"{config.dhcp_uplink} is a subscriber interface: dynamic authorization must not listen on it",
            path="/aether-bng:bng/aaa/dynamic-authorization",
        )
    _check_pool(config)
    for name, router in config.routers.items():
        if router.subnets and router.address is None:
            raise OperationError(
                "missing-element",
                f"access router {name} has subnets but no address to route them to",
                path=f"/aether-access-router:access-routers/access-router[name='{name}']/address",
            )
    owners: dict[IPv4Network, str] = {}
    for name, router in config.routers.items():
        for subnet in router.subnets:
            if subnet in owners:
                raise OperationError(
                    "invalid-value",
                    f"subnet {subnet} is behind {owners[subnet]} and {name}; it can be behind one only",
                    path=f"/aether-access-router:access-routers/access-router[name='{name}']/subnet",
                )
            owners[subnet] = name
