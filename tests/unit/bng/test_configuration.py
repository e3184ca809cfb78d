"""Two-step configuration in control: what is refused, kept, and put in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bng.config import Config
from bng.configuration import Configuration
from bng.units import Units, digest, empty_units, merge
from yang.provider import OperationError


def profile(rate: int) -> dict:
    return {"name": "gold", "download": {"rate": str(rate)}, "upload": {"rate": str(rate)}}


class Applied:
    def __init__(self, path: Path) -> None:
        self.calls: list[tuple[Config, Config]] = []
        self.configuration = Configuration(path, self._apply)

    async def _apply(self, config: Config, old: Config) -> None:
        self.calls.append((config, old))

    async def take(self, units: Units, *, replace: bool = False) -> None:
        await self.configuration.commit(self.configuration.prepare(units, replace=replace))


async def test_prepare_changes_nothing_commit_does_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "control" / "config.json"
    made = Applied(path)
    units = {"shaping-profiles": {"gold": profile(9000)}}
    token = made.configuration.prepare(units)
    assert made.configuration.config.profiles == {}
    assert made.calls == []
    await made.configuration.commit(token)
    assert made.configuration.config.profiles["gold"].download_rate == 9000
    assert len(made.calls) == 1
    again = Applied(path)
    assert again.configuration.config.profiles["gold"].download_rate == 9000
    assert again.configuration.digest == digest(merge(empty_units(), units))


async def test_replace_drops_what_is_not_named(tmp_path: Path) -> None:
    made = Applied(tmp_path / "c.json")
    await made.take({"shaping-profiles": {"gold": profile(9000), "iron": profile(8000)}})
    await made.take({"shaping-profiles": {"gold": profile(9000)}})
    assert set(made.configuration.config.profiles) == {"gold", "iron"}
    await made.take({"shaping-profiles": {"gold": profile(9000)}}, replace=True)
    assert set(made.configuration.config.profiles) == {"gold"}


async def test_tokens_are_good_once_and_only_the_last(tmp_path: Path) -> None:
    made = Applied(tmp_path / "c.json")
    first = made.configuration.prepare({})
    second = made.configuration.prepare({})
    with pytest.raises(OperationError, match="not prepared"):
        await made.configuration.commit(first)
    await made.configuration.commit(second)
    with pytest.raises(OperationError, match="not prepared"):
        await made.configuration.commit(second)
    third = made.configuration.prepare({})
    made.configuration.abort(third)
    with pytest.raises(OperationError, match="not prepared"):
        await made.configuration.commit(third)


def test_what_is_wrong_is_refused_at_prepare(tmp_path: Path) -> None:
    made = Applied(tmp_path / "c.json")
    with pytest.raises(OperationError, match="cannot be understood"):
        made.configuration.prepare({"shaping-profiles": {"gold": {"name": "gold"}}})


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"bng": 7}', '{"shaping-profiles": {"x": {}}}'])
def test_a_damaged_file_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)
    assert Applied(tmp_path / "c.json").configuration.config == Config()


async def test_the_file_has_no_secret_in_cleartext(tmp_path: Path) -> None:
    path = tmp_path / "control" / "config.json"
    server = {"name": "r", "address": "192.0.2.1", "secret": "hush-hush"}
    units = {"bng": {"identity": {"bng-id": "b"}, "aaa": {"server": [server]}}}
    path.parent.mkdir()
    path.write_text(json.dumps(units))  # as earlier versions wrote it
    made = Applied(path)
    await made.take({"shaping-profiles": {"gold": profile(9000)}})
    assert "hush-hush" not in path.read_text()
    assert Applied(path).configuration.digest == made.configuration.digest
    (tmp_path / "sealing.key").unlink()
    assert Applied(path).configuration.config == Config()
    assert path.exists()


class Refusing(Applied):
    """The kernel refuses some profiles."""

    async def _apply(self, config: Config, old: Config) -> None:
        await super()._apply(config, old)
        if "impossible" in config.profiles:
            raise OperationError("operation-failed", "the kernel refuses it", path="/somewhere")


async def test_what_the_kernel_refuses_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    made = Refusing(path)
    await made.take({"shaping-profiles": {"gold": profile(9000)}})
    before = made.configuration.digest
    with pytest.raises(OperationError, match="the kernel refuses it") as caught:
        await made.take({"shaping-profiles": {"impossible": profile(9000)}})
    assert caught.value.path == "/somewhere"
    assert set(made.configuration.config.profiles) == {"gold"}
    assert made.configuration.digest == Applied(path).configuration.digest == before
    assert [set(config.profiles) for config, _ in made.calls] == [{"gold"}, {"gold", "impossible"}, {"gold"}]
    await made.take({"shaping-profiles": {"iron": profile(8000)}})
    assert set(made.configuration.config.profiles) == {"gold", "iron"}


async def test_a_whole_configuration_stays_for_it_is_what_management_runs(tmp_path: Path) -> None:
    made = Refusing(tmp_path / "c.json")
    await made.take({"shaping-profiles": {"impossible": profile(9000)}}, replace=True)
    assert set(made.configuration.config.profiles) == {"impossible"}
