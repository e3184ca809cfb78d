"""`aether netconf` against a server, each verb as a person types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.contract.netconf.conftest import PASSWORDS

GOLD = "shaping-profiles/profile[name='gold']/download/rate"


@pytest.fixture(scope="module")
def aether(element, tmp_path_factory):
    """Runs ``aether netconf …``; returns the finished process."""
    folder = tmp_path_factory.mktemp("cli")
    login = {"host": "127.0.0.1", "port": element.port, "username": "admin", "password": PASSWORDS["admin"]}
    (folder / "hosts.json").write_text(json.dumps({"bng-01": {**login, "passwords": PASSWORDS}}))
    environment = {
        **os.environ,
        "AETHER_NETCONF_HOSTS": str(folder / "hosts.json"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }

    def run(*words, stdin="", **more):
        return subprocess.run(
            [sys.executable, "-m", "lab.cli", "netconf", *words],
            env={**environment, **more},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    run.folder = folder
    return run


def lines(process):
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_get(aether):
    path = "sessions/session[id=0000000000000003]"
    assert lines(aether("get", "bng-01", path, "--format", "lines"))[0] == (
        "/aether-subscriber:sessions/session[id='0000000000000003']/username bng-01/an-0000/1/0/3"
    )
    expression = "//aether-shaping:profile[aether-shaping:name='gold']/aether-shaping:download"
    assert lines(aether("get", "bng-01", "--xpath", expression))[-1].strip() == "rate 100000000"
    assert "<rate>100000000</rate>" in aether("get", "bng-01", GOLD, "--format", "xml").stdout


def test_change_difference_and_confirmed_commit(aether):
    assignment = f"{GOLD}=70000000"
    difference = [f"- /aether-shaping:{GOLD} 100000000", f"+ /aether-shaping:{GOLD} 70000000"]
    assert lines(aether("diff", "bng-01", "--set", assignment)) == difference
    asked = aether("commit", "bng-01", "--set", assignment)
    assert asked.returncode == 2 and "--yes" in asked.stderr
    committed = lines(aether("commit", "bng-01", "--set", assignment, "--yes", "--confirmed", "600"))
    assert committed[:2] == difference
    assert re.fullmatch(r"commit \d+", committed[2])
    token = committed[3].split()[-1]
    assert aether("confirm", "bng-01", "wrong").returncode == 1
    lines(aether("cancel", "bng-01", token))
    assert lines(aether("get", "bng-01", GOLD, "--format", "lines")) == [f"/aether-shaping:{GOLD} 100000000"]
    assert lines(aether("diff", "bng-01")) == []


def test_a_change_from_a_file(aether):
    profile = (
        "<shaping-profiles xmlns='urn:aether:yang:aether-shaping'><profile><name>cli</name>"
        "<download><rate>9000000</rate></download><upload><rate>8000000</rate></upload>"
        "</profile></shaping-profiles>"
    )
    assert len(lines(aether("commit", "bng-01", "-", "--yes", stdin=profile))) == 3
    assert lines(aether("commit", "bng-01", "-", "--yes", stdin=profile)) == ["nothing changes"]
    gone = lines(aether("commit", "bng-01", "--delete", "shaping-profiles/profile[name=cli]", "--yes"))
    assert [line[0] for line in gone] == ["-", "-", "c"]


def test_history_and_rollback(aether):
    rate = f"/aether-shaping:{GOLD}"
    change = ("--set", f"{GOLD}=60000000", "--yes", "--comment", "ticket 4711")
    made = lines(aether("commit", "bng-01", *change))[-1]
    number, _, user, transport, peer, changes, kind, *comment = lines(aether("history", "bng-01", "-n", "1"))[
        0
    ].split()
    assert (user, transport, peer, changes, kind) == ("admin", "netconf", "127.0.0.1", "1", "commit")
    assert (made, comment) == (f"commit {number}", ["ticket", "4711"])
    done = [f"- {rate} 100000000", f"+ {rate} 60000000"]
    assert lines(aether("diff", "bng-01", "--commit", number, "--user", "viewer")) == done
    before = str(int(number) - 1)
    undone = [f"- {rate} 60000000", f"+ {rate} 100000000"]
    assert lines(aether("diff", "bng-01", "--commit", before, "--against", "running")) == undone
    assert "[access-denied]" in aether("rollback", "bng-01", before, "--yes", "--user", "viewer").stderr
    assert lines(aether("rollback", "bng-01", before, "--yes")) == [*undone, f"commit {int(number) + 1}"]
    assert f"rollback to {before}" in lines(aether("history", "bng-01", "-n", "1"))[0]
    assert lines(aether("rollback", "bng-01", before, "--yes")) == ["nothing changes"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("get", "bng-09"), 2, 'there is no element "bng-09"; known: bng-01'),
        (("get", "bng-01", "sessions/sesion"), 2, 'has no "sesion"'),
        (("commit", "bng-01", "--set", f"{GOLD}=1", "--yes"), 1, "[invalid-value]"),
        (("commit", "bng-01", "--set", f"{GOLD}=2000000", "--yes", "--user", "viewer"), 1, "[access-denied]"),
        (("commit", "bng-01", "/nonexistent", "--yes"), 2, "cannot be read"),
        (("watch", "bng-01", "--since", "never"), 2, "is no time"),
    ],
)
def test_what_fails_is_one_sentence(aether, words, code, message):
    done = aether(*words)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_watch_replays(aether):
    shown = lines(aether("watch", "bng-01", "--since", "2026-01-01", "--count", "2"))
    assert [line.split()[1:3] for line in shown] == [["session-start", "seq=1"], ["session-start", "seq=2"]]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("get b", ["bng-01"]),
        ("get bng-01 shap", ["shaping-profiles"]),
        ("commit bng-01 --set shaping-profiles/profile[name=gold]/down", None),
        ('get bng-01 "sessions/session[id=000000000000001', 16),
        ("get bng-01 --user v", ["viewer"]),
        ("rollback bng-01 ", "0"),
        ("diff bng-01 --commit ", "0"),
    ],
)
def test_names_paths_and_keys_are_completed(aether, line, found):
    lines(aether("get", "bng-01", GOLD))
    answer = aether.folder / "completion"
    written = f"aether netconf {line}"
    aether(
        _ARGCOMPLETE="1",
        COMP_LINE=written,
        COMP_POINT=str(len(written)),
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_SUPPRESS_SPACE="1",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
    )
    offered = answer.read_text().split("\n")
    if isinstance(found, str):
        assert found in offered and "README.md" not in offered
    elif found is None:
        assert [one.rpartition("/")[2] for one in offered] == ["download"]
    elif isinstance(found, int):
        assert len(offered) == found
        assert offered[0] == "sessions/session[id=0000000000000010]"
    else:
        assert offered == found
