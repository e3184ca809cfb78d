"""The configuration file and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.config import ConfigError, load, parse
from collector.retention import Retention

TARGET = {"bng_id": "b", "address": "127.0.0.1:57400", "username": "u", "password": "p", "ca": "ca.pem"}


def config(**changes: Any) -> dict[str, Any]:
    return {"database": "postgresql:///x", "targets": [TARGET], **changes}


def test_defaults() -> None:
    made = parse(config())
    assert made.targets[0].address == "127.0.0.1:57400"
    assert (made.sample_interval, made.lease_ttl, made.retention, made.metrics) == (
        5.0,
        3.0,
        Retention(),
        None,
    )
    assert made.owner


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ([], "must be an object"),
        (config(targets={}), "'targets' must be a list"),
        (config(targets=[TARGET, TARGET]), "more than once"),
        (config(targets=[{**TARGET, "address": "nowhere"}]), r"targets\[0\]: 'address' must be host:port"),
        (config(targets=[{**TARGET, "password": ""}]), "'password' must be a non-empty string"),
        (config(targets=[{**TARGET, "key": "key.pem"}]), r"targets\[0\]: 'certificate' and 'key' belong"),
        (config(database=None), "'database'"),
        (config(sample_interval=0), "from 1 to 3600"),
        (config(sample_interval=True), "must be a number"),
        (config(metrics={"host": "x"}), "'metrics'"),
    ],
)
def test_errors_name_the_place(source: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse(source)


def test_secrets_are_not_shown() -> None:
    assert "'p'" not in repr(parse(config()))


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.json")


@pytest.mark.parametrize("bng_id", ["a\0", "x" * 1025, "\ud800"])
def test_names_that_postgresql_cannot_keep_are_refused(bng_id: str) -> None:
    target = {"bng_id": bng_id, "address": "h:1", "username": "u", "password": "p", "ca": "c"}
    with pytest.raises(ConfigError, match="bng_id"):
        parse({"database": "x", "targets": [target]})
