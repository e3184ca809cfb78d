"""Which element is meant, and who logs in."""

import argparse
import io
import json

import pytest

from nbi.cli.target import TargetError, resolve


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    for name in ("AETHER_NETCONF_HOSTS", "AETHER_NETCONF_PASSWORD", "AETHER_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    hosts = tmp_path / "hosts.json"
    login = {"host": "127.0.0.1", "port": 8301, "username": "admin", "password": "a"}
    hosts.write_text(json.dumps({"bng-01": {**login, "passwords": {"viewer": "v"}}}))

    def make(target, user=None, key=None, file=hosts):
        return argparse.Namespace(target=target, user=user, key=key, hosts=file)

    return make


def test_a_name_of_the_file_of_hosts(arguments):
    assert resolve(arguments("bng-01")).password == "a"
    viewer = resolve(arguments("bng-01", user="viewer"))
    assert (viewer.username, viewer.password, viewer.port) == ("viewer", "v", 8301)


def test_an_address(arguments, monkeypatch):
    monkeypatch.setenv("AETHER_NETCONF_PASSWORD", "p")
    target = resolve(arguments("ann@192.0.2.1:8830"))
    assert (target.username, target.host, target.port, target.password) == ("ann", "192.0.2.1", 8830, "p")
    target = resolve(arguments("ann@[2001:db8::1]"))
    assert (target.host, target.port) == ("2001:db8::1", 830)


def test_the_state_folder_of_a_lab_is_found(arguments, monkeypatch, tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "netconf.json").write_text(json.dumps({"bng-07": {"host": "h", "username": "u"}}))
    monkeypatch.setenv("AETHER_STATE_DIR", str(folder))
    assert resolve(arguments("bng-07", file=None)).host == "h"


@pytest.mark.parametrize("target", ["bng-02", "a@b@c", "", "x:y"])
def test_what_is_no_element_is_said_with_those_that_are(arguments, target):
    with pytest.raises(TargetError, match="known: bng-01"):
        resolve(arguments(target))


def test_files_of_hosts_that_cannot_be_read(arguments, tmp_path):
    bad = tmp_path / "bad.json"
    for content in ("{", "[]", '{"bng-01": {"port": "x"}}', '{"bng-01": 7}'):
        bad.write_text(content)
        with pytest.raises(TargetError):
            resolve(arguments("bng-01", file=bad))
    with pytest.raises(TargetError, match="No such file"):
        resolve(arguments("bng-01", file=tmp_path / "none"))


def test_nobody_is_asked_where_there_is_no_terminal(arguments, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(TargetError, match="AETHER_NETCONF_PASSWORD"):
        resolve(arguments("ann@192.0.2.1"))
