"""Small rules: paging, throttling, back-off, what is sent to BNGs and RADIUS, configuration files."""

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from oss.auth.throttle import FREE_FAILURES, LONGEST_WAIT, Throttle
from oss.config import ConfigError, load
from oss.database import Where
from oss.device import Profile, flatten, profiles_edit
from oss.domain.delivery import profile_of
from oss.domain.errors import Invalid
from oss.domain.outbox import BACKOFF_LONGEST, backoff
from oss.domain.paging import Column, Keyset, contains
from oss.domain.radius import Group

COLUMNS = (Column("started", "timestamptz"), Column("id"))


def keyset(cursor: str | None = None, order: str = "desc", name: str = "started") -> Keyset:
    return Keyset(name, order, COLUMNS, cursor, 2)  # type: ignore[arg-type]


def test_where_keeps_values_out_of_the_sql() -> None:
    where = Where()
    where.add("name = {}", "'; DROP TABLE users; --")
    where.add("(a, b) > ({}, {})", 1, 2)
    assert where.sql() == "WHERE name = $1 AND (a, b) > ($2, $3)"
    assert where.parameters == ["'; DROP TABLE users; --", 1, 2]
    assert Where().sql() == ""


def test_a_page_knows_whether_another_follows() -> None:
    rows = [{"n": n, "_position": ["2026-01-01", str(n)]} for n in range(3)]
    kept, cursor = keyset().page(rows)
    assert [row["n"] for row in kept] == [0, 1]
    assert keyset().page(rows[:2])[1] is None
    where = Where()
    keyset(cursor).apply(where)
    assert where.sql() == "WHERE (started, id) < ($1::text::timestamptz, $2::text::text)"
    assert where.parameters == ["2026-01-01", "1"]


@pytest.mark.parametrize(
    "cursor",
    [
        "zzz",
        "",
        "é",
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(b'["started","desc"]').decode(),
        base64.urlsafe_b64encode(b'["started","asc","a","b"]').decode(),
        base64.urlsafe_b64encode(b'["other","desc","a","b"]').decode(),
        base64.urlsafe_b64encode(b'["started","desc",1,null]').decode(),
    ],
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        keyset(cursor).apply(Where())


@given(st.binary(max_size=60))
def test_no_cursor_raises_anything_else(data: bytes) -> None:
    with contextlib.suppress(Invalid):
        keyset(base64.urlsafe_b64encode(data).decode()).apply(Where())


def test_wildcards_in_a_search_mean_themselves() -> None:
    assert contains("50%_\\") == "%50\\%\\_\\\\%"


def test_throttle_lets_people_mistype_and_then_doubles_the_wait() -> None:
    throttle, keys = Throttle(), ["user:ada", "address:::1"]
    for _ in range(FREE_FAILURES):
        assert throttle.wait(keys, 0) == 0
        throttle.failed(keys, 0)
    assert throttle.wait(keys, 0) == 2
    assert throttle.wait(["user:ada", "address:other"], 1) == 1
    assert throttle.wait(["user:other"], 0) == 0
    throttle.failed(keys, 2)
    assert throttle.wait(keys, 2) == 4
    for _ in range(40):
        throttle.failed(keys, 2)
    assert throttle.wait(keys, 2) == LONGEST_WAIT


def test_throttle_forgets_after_success_and_after_a_while() -> None:
    throttle = Throttle()
    for key in ("a", "b"):
        for _ in range(9):
            throttle.failed([key], 0)
    throttle.succeeded(["a"])
    assert throttle.wait(["a"], 0) == 0
    assert throttle.wait(["b"], 0) > 0
    assert throttle.wait(["b"], 901) == 0


def test_throttle_is_bounded() -> None:
    throttle = Throttle()
    for number in range(10_100):
        throttle.failed([f"address:{number}"], 0)
    assert len(throttle._failures) == 10_000


@given(st.integers(min_value=1, max_value=10**9))
def test_backoff_grows_to_its_limit(attempts: int) -> None:
    assert 1 <= backoff(attempts) <= backoff(attempts + 1) <= BACKOFF_LONGEST


def test_a_plan_becomes_a_profile_in_bits_and_octets() -> None:
    profile = profile_of("gold", "x" * 300, 250_000, 50_000, 8_000, None)
    assert (profile.download_rate, profile.upload_rate) == (250_000_000, 50_000_000)
    assert (profile.download_burst, profile.upload_burst) == (1_000_000, None)
    assert len(profile.description) == 255


def test_an_edit_replaces_the_wanted_and_removes_the_gone() -> None:
    edit = etree.fromstring(profiles_edit([Profile("a<b", 1, 2, description="R&D")], ["old"]))
    operation = "{urn:ietf:params:xml:ns:netconf:base:1.0}operation"
    ns = {"s": "urn:aether:yang:aether-shaping"}
    entries = edit.findall("s:profile", ns)
    assert [entry.get(operation) for entry in entries] == ["replace", "remove"]
    assert entries[0].findtext("s:name", namespaces=ns) == "a<b"
    assert entries[0].findtext("s:download/s:rate", namespaces=ns) == "1"
    assert entries[0].find("s:download/s:burst", ns) is None


def test_a_session_is_flattened_to_names_of_leaves() -> None:
    xml = "<session><id>1</id><access-line><circuit-id>1/0/3</circuit-id></access-line><profile/></session>"
    assert flatten(etree.fromstring(xml)) == {"id": "1", "circuit_id": "1/0/3", "profile": ""}


def test_a_group_grants_the_profile_and_the_speeds() -> None:
    assert Group("gold", 250_000, 50_000, None, 4_000).replies() == [
        ("Filter-Id", "gold"),
        ("OSS-Download-Speed", "250000"),
        ("OSS-Upload-Speed", "50000"),
        ("OSS-Upload-Burst", "4000"),
    ]


MINIMAL = {
    "database": "postgresql://x",
    "radius_database": "postgresql://y",
    "radius_user_password": "secret",
    "admin": {"username": "admin", "password": "long enough"},
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"admin": {"username": "admin", "password": "short"}}, "admin.password"),
        ({"listen": {"port": 70000}}, "listen.port"),
        ({"bngs": [{"bng_id": "a b", "host": "h", "username": "u", "password": "p"}]}, "bngs.0.bng_id"),
        ({"seed": {"plans": [{"name": "x", "download_kbps": 1, "upload_kbps": 9}]}}, "download_kbps"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(tmp_path: Path, change: dict, complaint: str) -> None:
    file = tmp_path / "oss.json"
    file.write_text(json.dumps({**MINIMAL, **change}))
    with pytest.raises(ConfigError, match=complaint):
        load(file)


def test_a_configuration_that_is_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.json")
    file = tmp_path / "oss.json"
    file.write_text("{")
    with pytest.raises(ConfigError, match="JSON"):
        load(file)
    file.write_text(json.dumps(MINIMAL))
    assert load(file).listen.port == 8080
