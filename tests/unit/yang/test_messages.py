"""The golden list: what a client reads for each thing that can be wrong. None of it is libyang's jargon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.validator import Validator
from yang.provider import OperationError, OperationErrors

BNG, SYSTEM, NACM = "/aether-bng:bng", "/ietf-system:system", "/ietf-netconf-acm:nacm"


@pytest.fixture(scope="module")
def validator() -> Validator:
    context = load_context()
    return Validator(context, SchemaBuilder(context).build())


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (f"{BNG}/aaa/server/timeout", "5", "expected a whole number, 100 to 30000"),
        (f"{BNG}/aaa/server/address", "10.0.0", "expected an IPv4 address, as 192.0.2.1"),
        (f"{BNG}/aaa/server/secret", "", "expected 1 to 128 characters, not 0"),
        (f"{BNG}/nat/source-prefix", "10.0.0.0", "expected an IPv4 prefix, as 192.0.2.0/24"),
        (
            f"{BNG}/identity/bng-id",
            "a b",
            "expected text that matches the pattern [A-Za-z0-9_][A-Za-z0-9_.\\-]*",
        ),
        (f"{BNG}/identity/bng-id", "x" * 65, "expected 1 to 64 characters, not 65"),
        (f"{NACM}/read-default", "maybe", "expected one of permit, deny"),
        (
            f"{SYSTEM}/authentication/user/password",
            "secret",
            "expected $0$ and the password in cleartext, or its hash by crypt ($5$… or $6$…)",
        ),
        (
            f"{SYSTEM}/authentication/user-authentication-order",
            "x:y",
            "expected one of the identities ietf-system:local-users, ietf-system:radius",
        ),
        (
            f"{NACM}/rule-list/rule/path",
            "/aether-bng:warp",
            "expected the path of a node that the model has, as /module:list[key='x']",
        ),
        (f"{NACM}/rule-list/rule/path", "/ietf-system:system/authentication/user[name=$USER]", None),
    ],
)
def test_values(validator: Validator, path: str, text: str, message: str | None) -> None:
    assert validator.check_value(validator._schema.node(path), text) == message


def bng(**content: Any) -> dict[str, Any]:
    return {"aether-bng:bng": {"identity": {"bng-id": "b"}, **content}}


SERVER = {"name": "r", "address": "10.0.0.1", "secret": "s3cret"}


@pytest.mark.parametrize(
    ("document", "message", "path"),
    [
        (
            bng(aaa={"server": [{**SERVER, "timeout": 5}]}),
            f'{BNG}/aaa/server/timeout: "5": expected a whole number, 100 to 30000',
            f"{BNG}/aaa/server[name='r']/timeout",
        ),
        (
            bng(aaa={"server": [{**SERVER, "secret": "s3cret" * 30}]}),
            f"{BNG}/aaa/server/secret: the value: expected 1 to 128 characters, not 180",
            f"{BNG}/aaa/server[name='r']/secret",
        ),
        (
            bng(interfaces={"upstream": "eth9"}),
            '"eth9" does not exist: it must be one of /interfaces/interface/name',
            f"{BNG}/interfaces/upstream",
        ),
        (bng(warp=1), '"bng" has no node "warp"', BNG),
        ({"aether-warp:x": {}}, 'this element has no module "aether-warp"', None),
        ({"bng": {}}, '"bng" needs its module in front, as in module:bng', None),
        (
            {
                "ietf-netconf-acm:nacm": {
                    "rule-list": [
                        {
                            "name": "x",
                            "rule": [{"name": "y", "action": "permit", "path": "/", "rpc-name": "z"}],
                        }
                    ]
                }
            },
            "protocol-operation and data-node exclude each other, and both are given",
            f"{NACM}/rule-list[name='x']/rule[name='y']",
        ),
        (
            bng(aaa={"unanswered": {"action": "admit"}}),
            "'admit' needs a profile",
            f"{BNG}/aaa/unanswered/action",
        ),
    ],
)  # fmt: skip
def test_documents(validator: Validator, document: dict[str, Any], message: str, path: str | None) -> None:
    with pytest.raises(OperationError) as caught:
        validator.load(json.dumps(document).encode())
    assert caught.value.message == message
    assert caught.value.path == path


def test_several_that_are_missing(validator: Validator) -> None:
    tree = {
        "aether-bng:bng": {"identity": {"bng-id": "b"}, "aaa": {"server": {(n,): {"name": n} for n in "ab"}}}
    }
    with pytest.raises(OperationErrors) as caught:
        validator.complete(tree)
    errors = {(error.tag, error.path, error.message) for error in caught.value.errors}
    assert {
        (
            "data-missing",
            f"{BNG}/aaa/server[name='{n}']/{leaf}",
            f"\"{leaf}\" is mandatory, and missing in {BNG}/aaa/server[name='{n}']",
        )
        for n in "ab"
        for leaf in ("address", "secret")
    } == errors


def test_the_variable_of_nacm_paths_comes_through(validator: Validator) -> None:
    path = "/ietf-system:system/authentication/user[name=$USER]"
    rule = {"name": "y", "action": "permit", "path": path}
    tree = validator.load(
        json.dumps({"ietf-netconf-acm:nacm": {"rule-list": [{"name": "x", "rule": [rule]}]}}).encode()
    )
    members = validator.complete(tree)
    assert members["ietf-netconf-acm:nacm"]["rule-list"][0]["rule"][0]["path"] == path
