"""Rendering: deterministic, complete, private, and strict about what it is given."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path

import jinja2
import pytest

from lab.config import ConfigError, LabConfig, parse_config
from lab.paths import LabPaths
from lab.processes import processes
from lab.render import changes, render, rendered_digest, write
from lab.render.artefacts import Artefact, masked
from lab.render.files import kea_configuration, radius_string, sql_literal, subnet_id
from lab.secrets import PLACEHOLDER, Secrets, load_secrets, required_names
from lab.supervisor.spec import dump_specs, load_specs
from lab.topology import build, mac_address

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config() -> LabConfig:
    return parse_config((ROOT / "aether.config.yaml").read_text())


@pytest.fixture
def secrets(config: LabConfig, tmp_path: Path) -> Secrets:
    values = {name: f"secret-{number:04d}" for number, name in enumerate(required_names(config))}
    hashes = {f"{name}/hash": f"$6$salt${name}" for name in values if name.startswith("bng/")}
    return Secrets(values | hashes, tmp_path / "secrets")


def rendered(config: LabConfig, secrets: Secrets) -> dict[str, str]:
    return {artefact.path: artefact.text for artefact in render(config, secrets)}


def test_the_same_in_gives_the_same_out(config: LabConfig, secrets: Secrets) -> None:
    first, second = render(config, secrets), render(config, secrets)
    assert first == second
    assert rendered_digest(first) == rendered_digest(list(reversed(second)))


def test_all_files_are_there(config: LabConfig, secrets: Secrets) -> None:
    files = rendered(config, secrets)
    assert {"collector.json", "oss.json", "kea/etc/kea-dhcp4.conf", "radius/raddb/radiusd.conf"} <= set(files)
    assert {"bng/bng-01/startup.json", "bng/bng-02/startup.json"} <= set(files)
    assert {"access-node/an-11.json", "access-node/an-12.json", "access-node/an-21.json"} <= set(files)
    for path, text in files.items():
        assert "{{" not in text and "{%" not in text.replace("%{%", ""), path
        if path.endswith(".json"):
            json.loads(text)


def test_the_collector_keeps_what_is_configured(config: LabConfig, secrets: Secrets) -> None:
    collector = json.loads(rendered(config, secrets)["collector.json"])
    assert (collector["memory"], collector["retention"]["samples"], "foreign" in collector) == (
        64,
        "48h",
        False,
    )
    keep = dataclasses.replace(
        config.collecting, memory=16, retention={"samples": "3h"}, foreign=Path("/etc/gnmic.yaml")
    )
    other = json.loads(rendered(dataclasses.replace(config, collecting=keep), secrets)["collector.json"])
    assert (other["memory"], other["retention"], other["foreign"]) == (
        16,
        {"samples": "3h"},
        "/etc/gnmic.yaml",
    )


def test_the_collector_has_a_certificate_where_bngs_ask_for_one(config: LabConfig, secrets: Secrets) -> None:
    asking = dataclasses.replace(config.collecting, client_certificate=True)
    for collecting, asked in ((config.collecting, False), (asking, True)):
        files = rendered(dataclasses.replace(config, collecting=collecting), secrets)
        shown = {
            "certificate": str(secrets.folder / "collector.pem"),
            "key": str(secrets.folder / "collector.key"),
        }
        for target in json.loads(files["collector.json"])["targets"]:
            assert (shown.items() <= target.items()) is asked
            assert ("key" in target) is asked
        gnmi = json.loads(files["bng/bng-01/startup.json"])["aether-bng:bng"]["management"]["gnmi"]
        assert gnmi.get("client-ca-file") == (str(secrets.ca) if asked else None)


def test_startup_of_a_bng(config: LabConfig, secrets: Secrets) -> None:
    startup = json.loads(rendered(config, secrets)["bng/bng-01/startup.json"])
    bng = startup["aether-bng:bng"]
    assert bng["identity"]["bng-id"] == "bng-01"
    assert bng["aaa"]["server"][0]["secret"] == secrets.radius("bng-01")
    (client,) = bng["aaa"]["dynamic-authorization"]["client"]
    assert client["address"] == bng["aaa"]["server"][0]["address"]
    assert client["secret"] == secrets.dynamic_authorization("bng-01") != secrets.radius("bng-01")
    password = secrets.lease_api("bng-01")
    lease_api = {"port": 8000, "username": "bng-01", "password": password}
    assert bng["dhcp-relay"]["server"] == [{"address": "198.18.0.11", "lease-api": lease_api}]
    assert "aether-shaping:shaping-profiles" not in startup, "plans are the OSS's to deliver"
    routed = startup["aether-access-router:access-routers"]["access-router"][1]
    assert routed["subnet"] == ["100.64.12.0/24"] and routed["address"] == "100.64.1.3"
    users = startup["ietf-system:system"]["authentication"]["user"]
    assert all(user["password"].startswith("$6$") for user in users)
    assert not any(value in json.dumps(users) for value in secrets.values.values() if value[0] != "$")


def test_kea_pools_belong_to_access_nodes(config: LabConfig, secrets: Secrets) -> None:
    subnets = kea_configuration(config, secrets)["Dhcp4"]["subnet4"]
    pools = {pool["client-class"]: subnet["subnet"] for subnet in subnets for pool in subnet["pools"]}
    assert pools == {
        "node-an-11": "100.64.1.0/24",
        "node-an-12": "100.64.12.0/24",
        "node-an-21": "100.64.2.0/24",
    }
    routers = {subnet["subnet"]: subnet["option-data"][0]["data"] for subnet in subnets}
    assert routers["100.64.1.0/24"] == "100.64.1.1" and routers["100.64.12.0/24"] == "100.64.12.1"
    assert subnets[0]["id"] == subnet_id(config.bngs[0].subscriber.network)


def test_the_control_agent_knows_each_bng(config: LabConfig, secrets: Secrets) -> None:
    agent = json.loads(rendered(config, secrets)["kea/etc/kea-ctrl-agent.conf"])["Control-agent"]
    clients = {client["user"]: client["password"] for client in agent["authentication"]["clients"]}
    assert clients == {bng.bng_id: secrets.lease_api(bng.bng_id) for bng in config.bngs}
    kea = kea_configuration(config, secrets)["Dhcp4"]
    assert agent["control-sockets"]["dhcp4"] == kea["control-socket"]
    assert kea["store-extended-info"], "without it no lease tells its access line"


def test_a_radius_client_per_bng_demands_message_authenticator(config: LabConfig, secrets: Secrets) -> None:
    text = rendered(config, secrets)["radius/raddb/radiusd.conf"]
    for bng in config.bngs:
        client = text.split(f"client {bng.bng_id} {{")[1].split("}")[0]
        assert f"ipaddr = {bng.dhcp_uplink.ip}" in client
        assert f'secret = "{secrets.radius(bng.bng_id)}"' in client
        assert "require_message_authenticator = yes" in client


def test_seed_of_the_oss(config: LabConfig, secrets: Secrets) -> None:
    oss = json.loads(rendered(config, secrets)["oss.json"])
    assert {plan["name"] for plan in oss["seed"]["plans"]} == {"bronze", "silver", "gold"}
    assert len(oss["seed"]["services"]) == 7
    names = {customer["name"] for customer in oss["seed"]["customers"]}
    assert all(service["customer"] in names for service in oss["seed"]["services"])
    assert oss["admin"]["password"] == secrets.console


def test_every_secret_differs_and_none_is_left_out(config: LabConfig, secrets: Secrets) -> None:
    assert not any(PLACEHOLDER in text for text in rendered(config, secrets).values())


def test_before_the_first_up_secrets_are_placeholders(config: LabConfig, tmp_path: Path) -> None:
    secrets = load_secrets(tmp_path)
    assert secrets.console == PLACEHOLDER
    assert PLACEHOLDER in rendered(config, secrets)["oss.json"]


def test_undefined_names_in_templates_are_errors(
    config: LabConfig, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = jinja2.DictLoader({"a.j2": "{{ config.nothing }}"})
    monkeypatch.setattr(jinja2, "PackageLoader", lambda _: loader)
    monkeypatch.setattr("lab.render.files._TEMPLATES", {"a.j2": ("a", "root", False)})
    with pytest.raises(jinja2.UndefinedError):
        render(config, secrets)


def test_plan_shows_what_a_change_touches(config: LabConfig, secrets: Secrets, tmp_path: Path) -> None:
    manifest = tmp_path / "rendered.json"
    first = render(config, secrets)
    assert {change.kind for change in write(first, tmp_path, manifest)} == {"new"}
    assert changes(first, tmp_path, manifest) == []
    text = (ROOT / "aether.config.yaml").read_text().replace("download-kbps: 10000,", "download-kbps: 12000,")
    second = render(parse_config(text), secrets)
    found = changes(second, tmp_path, manifest)
    assert [change.path for change in found] == ["oss.json"]
    assert any("12000" in line for line in found[-1].diff)


def test_writing_removes_what_is_no_longer_rendered(tmp_path: Path) -> None:
    manifest = tmp_path / "rendered.json"
    write([Artefact("a/one", "1"), Artefact("a/two", "2")], tmp_path, manifest)
    (tmp_path / "a/mine").write_text("kept")
    write([Artefact("a/one", "1")], tmp_path, manifest)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["mine", "one"]
    manifest.write_text('["../../etc/passwd", 5]')
    assert changes([], tmp_path, manifest) == []


def test_rendered_files_are_private(tmp_path: Path) -> None:
    write([Artefact("x/secret", "s"), Artefact("x/run", "r", executable=True)], tmp_path, tmp_path / "m")
    assert stat.S_IMODE((tmp_path / "x/secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "x/run").stat().st_mode) == 0o700


def test_secrets_are_masked_when_shown(secrets: Secrets) -> None:
    assert masked(f"password {secrets.console};", secrets) == "password •••;"


@pytest.mark.parametrize(
    ("quote", "value", "expected"),
    [
        (sql_literal, "it's", "'it''s'"),
        (radius_string, 'a"b\\c%{d}', '"a\\"b\\\\c%%{d}"'),
    ],
)
def test_values_are_quoted(quote, value: str, expected: str) -> None:  # type: ignore[no-untyped-def]
    assert quote(value) == expected


def test_subnet_ids_do_not_move_when_the_file_grows(secrets: Secrets) -> None:
    def ids(path: str) -> dict[str, int]:
        config = parse_config((ROOT / path).read_text())
        subnets = kea_configuration(config, secrets)["Dhcp4"]["subnet4"]
        return {subnet["subnet"]: subnet["id"] for subnet in subnets}

    small, large = ids("aether.config.yaml"), ids("examples/three-bngs.yaml")
    assert small.items() <= large.items() and len(large) == len(small) + 1


def test_topology_of_the_default_lab(config: LabConfig) -> None:
    plan = build(config)
    assert len(plan.namespaces()) == len(set(plan.namespaces()))
    ends = [(link.node, link.interface) for link in plan.links]
    ends += [(link.peer, link.peer_interface) for link in plan.links]
    assert len(ends) == len(set(ends)), "an interface has two cables"
    assert all(node in plan.nodes and len(name) <= 15 for node, name in ends)
    macs = [mac_address(node, name) for node, name in ends]
    assert len(macs) == len(set(macs))
    isolated = [port.interface for port in plan.nodes["an-11"].bridge_ports if port.isolated]
    assert isolated == ["eth1", "eth2", "eth3"]
    assert "uplink" not in [port.interface for port in plan.nodes["an-12"].bridge_ports]


def test_programs_come_after_what_they_need(config: LabConfig, tmp_path: Path) -> None:
    specs = processes(config, build(config), LabPaths(tmp_path))
    seen: set[str] = set()
    for spec in specs:
        assert set(spec.after) <= seen, f"{spec.name} comes too early"
        assert spec.name not in seen
        seen.add(spec.name)
    assert load_specs(dump_specs(specs)) == specs


def test_the_stream_of_the_predecessor_is_off_unless_asked_for(config: LabConfig, secrets: Secrets) -> None:
    off = json.loads(rendered(config, secrets)["collector.json"])
    assert off["outputs"] == {} and off["metrics"] == {"host": "127.0.0.1", "port": 9804}
    text = (ROOT / "aether.config.yaml").read_text()
    for url, expected in (
        ("", "redis://127.0.0.1:6379"),
        (", url: 'redis://192.0.2.5'", "redis://192.0.2.5"),
    ):
        services = f"shared:\n  services:\n    collector:\n      redis-streams: {{enabled: true{url}}}\n"
        asked = parse_config(text.replace("shared:\n", services, 1))
        (output,) = json.loads(rendered(asked, secrets)["collector.json"])["outputs"].values()
        assert (output["type"], output["url"], output["stream"]) == ("redis-streams", expected, "bng_events")
        names = [spec.name for spec in processes(asked, build(asked), LabPaths(Path("x")))]
        assert ("redis" in names) == (not url)


def test_the_bus_is_off_unless_asked_for(config: LabConfig, secrets: Secrets) -> None:
    off = rendered(config, secrets)
    assert "writer.json" not in off and "bus" not in json.loads(off["collector.json"])
    text = (ROOT / "aether.config.yaml").read_text()
    services = "shared:\n  services:\n    collector:\n      jetstream: {enabled: true, size: 64}\n"
    asked = parse_config(text.replace("shared:\n", services, 1))
    files = {name: json.loads(rendered(asked, secrets)[name]) for name in ("collector.json", "writer.json")}
    assert [file["bus"] for file in files.values()] == [{"url": "nats://127.0.0.1:4222", "size": 64}] * 2
    assert files["writer.json"]["targets"] == [] and files["collector.json"]["targets"]
    assert len({file["owner"] for file in files.values()}) == 2
    names = [spec.name for spec in processes(asked, build(asked), LabPaths(Path("x")))]
    assert {"nats", "writer", "collector"} <= set(names)
    with pytest.raises(ConfigError, match="jetstream"):
        foreign = services.replace("shared:\n", "shared:\n  collector: {foreign: gnmic.yaml}\n", 1)
        parse_config(text.replace("shared:\n", foreign, 1))
