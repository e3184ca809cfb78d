"""Options may stand between ELEMENT and what follows it."""

from __future__ import annotations

import argparse

import pytest

from nbi.cli import add_parser


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="aether")
    add_parser(parser.add_subparsers(dest="verb", required=True))
    return parser.parse_args(["netconf", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("get", "bng-01", "--format", "lines", "sessions", "access-routers"),
        ("get", "--format", "lines", "bng-01", "sessions", "access-routers"),
        ("get", "bng-01", "sessions", "--format", "lines", "access-routers"),
    ],
)
def test_paths_may_follow_options(words: tuple[str, ...]) -> None:
    found = parsed(*words)
    assert (found.target, found.path, found.format) == ("bng-01", ["sessions", "access-routers"], "lines")


def test_a_file_may_follow_options() -> None:
    found = parsed(
        "commit", "bng-01", "--set", "a=1", "--set", "b=2", "--comment", "x", "profile.xml", "--yes"
    )
    assert (found.target, found.file, found.set) == ("bng-01", "profile.xml", ["a=1", "b=2"])


def test_no_path_is_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("get", "bng-01").path == []
    with pytest.raises(SystemExit):
        parsed("get")
    assert "required: ELEMENT\n" in capsys.readouterr().err
