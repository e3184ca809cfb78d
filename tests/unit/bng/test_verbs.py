"""What ``aether bng why`` shows, and what it says when nobody answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bng import cli
from bng.daemon.insight import insight
from bng.session.records import AccessLine
from bng.verbs import render
from bng.witness import Witness
from tests.support.control_bench import Bench
from yang.provider import OperationError

RECORDINGS = Path(__file__).parents[2] / "replay" / "recordings"


def test_the_table() -> None:
    line: dict[str, Any] = {
        "remote-id": "an-11",
        "circuit-id": "1/0/3",
        "session-id": "0ef932d41e000001",
        "status": "rejected",
        "verdict": "Rejected: service suspended; asked again in 7 s.",
        "step": [
            {"index": 1, "time": "2026-11-25T13:00:00.100000000Z", "elapsed": 0, "kind": "dhcp",
             "what": "ACK", "detail": "10.0.0.1", "status": "authorizing", "repeated": 1},
            {"index": 2, "time": "2026-11-25T13:00:12.300000000Z", "elapsed": 2300, "kind": "radius",
             "what": "Access-Reject", "reason": "service suspended", "status": "rejected", "repeated": 17},
            {"index": 3, "time": "2026-11-25T13:00:13.300000000Z", "elapsed": 1_000_000, "kind": "kernel",
             "what": "stop", "repeated": 1},
        ],
    }  # fmt: skip
    assert render(line).splitlines() == [
        "an-11 1/0/3: session 0ef932d41e000001, rejected",
        "TIME (UTC)    AFTER           WHAT               DETAIL             STATUS",
        "13:00:00.100          dhcp    ACK                10.0.0.1           → authorizing",
        "13:00:12.300  2.3 ms  radius  Access-Reject ×17  service suspended  → rejected",
        "13:00:13.300  1.0 s   kernel  stop                                  → gone",
        "",
        "Rejected: service suspended; asked again in 7 s.",
    ]


@pytest.mark.parametrize("verb", [["why", "1/0/1"], ["record", "--all", "-o", "/nonexistent/x"]])
def test_nobody_answers(tmp_path: Path, verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*verb, "--state-dir", str(tmp_path)]) == 1
    assert f"no BNG answers in {tmp_path}" in capsys.readouterr().err


def test_what_is_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    assert cli.main(["replay", str(tmp_path / "x")]) == 2
    assert cli.main(["replay", str(tmp_path / "missing")]) == 2
    (tmp_path / "x").write_text("{}")
    assert cli.main(["replay", str(tmp_path / "x")]) == 2
    assert "no recording" in capsys.readouterr().err


def test_a_recording_without_an_end_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = (RECORDINGS / "move-denied.jsonl").read_text()
    (tmp_path / "x").write_text(cut)
    assert cli.main(["replay", "--quiet", str(tmp_path / "x")]) == 0
    assert "has no end" in capsys.readouterr().err
    (tmp_path / "x").write_text(
        cut + '{"end":"2027-01-15T09:00:00.000000000Z","reason":"its time is over"}\n'
    )
    assert cli.main(["replay", "--quiet", str(tmp_path / "x")]) == 0
    assert capsys.readouterr().err == ""


async def test_lines_are_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    witness = bench.writer.witness = Witness(bench.writer, tmp_path)
    await bench.begin(1, 2)
    timeline = insight(witness)["timeline"]
    found = await timeline({"circuit-id": "1/0/1"})
    assert found["lines"] == 1
    assert [step["what"] for step in found["access-line"][0]["step"]] == [
        "lease-found", "Access-Request", "Access-Accept", "start",
    ]  # fmt: skip
    assert (await timeline({"circuit-id": "1/0/1", "remote-id": "node-9"}))["access-line"] == []
    with pytest.raises(OperationError, match="circuit-id"):
        await timeline({})
    witness.timeline = type(witness.timeline)()  # as after a restart: only the session is known
    (line,) = (await timeline({"circuit-id": "1/0/2"}))["access-line"]
    assert (line["step"], line["status"]) == ([], "active")
    assert line["verdict"].startswith("Online: ")
    assert witness.lines_of("1/0/2", "node-1") == [AccessLine("node-1", "1/0/2")]
    await bench.commit.close()


async def test_one_recording_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    witness = Witness(bench.writer, tmp_path)
    methods = insight(witness)
    for wrong in (
        {"path": "relative"},
        {"path": str(tmp_path / "missing" / "x")},
        {"path": str(tmp_path / "x"), "line": ["one"]},
        {"path": str(tmp_path / "x"), "max-octets": 0},
    ):
        with pytest.raises(OperationError):
            await methods["record.start"](wrong)
    with pytest.raises(OperationError, match="no recording"):
        await methods["record.status"]({})
    await methods["record.start"]({"path": str(tmp_path / "a")})
    with pytest.raises(OperationError, match="under way"):
        await methods["record.start"]({"path": str(tmp_path / "b")})
    await methods["record.stop"]({})
    assert witness.recorder is not None
    witness.recorder.close()
    assert (await methods["record.status"]({}))["ended"] == "it was ended"
    await bench.commit.close()
