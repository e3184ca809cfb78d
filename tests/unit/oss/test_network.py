"""A change on several BNGs: all keep it, or none."""

from collections.abc import Callable

import pytest

from nbi.client import NetconfConnectionError, NetconfError
from oss.domain import network


class FakeBng:
    """A BNG that fails where it is told to."""

    def __init__(self, bng_id: str, fails: dict[str, list[NetconfError]]) -> None:
        self.bng_id = bng_id
        self.calls: list[str] = []
        self.running = "old"
        self._candidate = "old"
        self._fails = fails

    def _step(self, name: str) -> None:
        self.calls.append(name)
        if self._fails.get(name):
            raise self._fails[name].pop(0)

    async def prepare(self, edit: str) -> None:
        self._step("prepare")
        self._candidate = edit

    async def commit(self) -> None:
        self._step("commit")
        self.running = self._candidate

    async def commit_confirmed(self, persist: str, timeout: int) -> None:
        self._step("commit_confirmed")
        self.running = f"{self._candidate}?"

    async def confirm(self, persist: str) -> None:
        self._step("confirm")
        self.running = self.running.rstrip("?")

    async def cancel(self, persist: str) -> None:
        self._step("cancel")
        self.running = "old"

    async def discard(self) -> None:
        self._step("discard")

    async def close(self) -> None:
        self.calls.append("close")


Bngs = dict[str, FakeBng]


def make(**fails: dict[str, list[NetconfError]]) -> tuple[Bngs, Callable[[str], FakeBng]]:
    bngs = {name: FakeBng(name, errors) for name, errors in fails.items()}
    return bngs, bngs.__getitem__


async def apply(bngs: Bngs) -> dict[str, str]:
    results = await network.apply(dict.fromkeys(bngs, "new"), bngs.__getitem__)
    return {result.bng_id: result.state for result in results}


async def test_one_bng_commits_at_once() -> None:
    bngs, _ = make(a={})
    assert await apply(bngs) == {"a": "applied"}
    assert bngs["a"].calls == ["prepare", "commit", "close"]


async def test_several_bngs_are_confirmed_after_all_have_committed() -> None:
    bngs, _ = make(a={}, b={}, c={})
    assert set((await apply(bngs)).values()) == {"applied"}
    assert {bng.running for bng in bngs.values()} == {"new"}
    assert bngs["b"].calls == ["prepare", "commit_confirmed", "confirm", "close"]


@pytest.mark.parametrize("step", ["prepare", "commit_confirmed"])
async def test_if_one_refuses_none_keeps_it(step: str) -> None:
    bngs, _ = make(a={}, b={step: [NetconfError("no room", tag="resource-denied", path="/x")]}, c={})
    results = await network.apply(dict.fromkeys(bngs, "new"), bngs.__getitem__)
    assert [result.state for result in results] == ["rolled-back", "refused", "rolled-back"]
    assert results[1].message == "no room (at /x)"
    assert {bng.running for bng in bngs.values()} == {"old"}
    assert all(bng.calls[-1] == "close" for bng in bngs.values())


async def test_a_lost_answer_to_the_commit_is_taken_back_there_too() -> None:
    bngs, _ = make(a={}, b={"commit_confirmed": [NetconfConnectionError("lost")]})
    assert await apply(bngs) == {"a": "rolled-back", "b": "unreachable"}
    assert "cancel" in bngs["b"].calls, "it may have committed although the answer was lost"


async def test_a_lost_confirmation_is_repeated() -> None:
    bngs, _ = make(a={}, b={"confirm": [NetconfConnectionError("lost")]})
    assert await apply(bngs) == {"a": "applied", "b": "applied"}
    assert bngs["b"].calls.count("confirm") == 2


async def test_a_bng_that_cannot_be_confirmed_is_reported_and_the_others_keep_it() -> None:
    bngs, _ = make(a={}, b={"confirm": [NetconfConnectionError("lost"), NetconfConnectionError("gone")]})
    assert await apply(bngs) == {"a": "applied", "b": "unreachable"}


async def test_no_bngs_is_no_work() -> None:
    assert await network.apply({}, lambda _: FakeBng("", {})) == []
