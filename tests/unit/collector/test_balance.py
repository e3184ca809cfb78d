"""How collectors divide the targets."""

from __future__ import annotations

import pytest

from collector.balance import GIVE_UP, MOST_AT_ONCE, REST, Collector, Reach, Turn, assign, share, surplus

TARGETS = [f"bng-{n:02}" for n in range(12)]


def alive(**held: int) -> dict[str, Collector]:
    return {owner: Collector(count, TARGETS) for owner, count in held.items()}


@pytest.mark.parametrize(
    ("targets", "collectors", "most"), [(0, 1, 0), (10, 1, 10), (10, 3, 4), (9, 3, 3), (1, 3, 1), (5, 0, 5)]
)
def test_the_share_is_rounded_up(targets: int, collectors: int, most: int) -> None:
    assert share(targets, collectors) == most


def test_what_is_free_goes_to_those_that_hold_the_fewest() -> None:
    found = assign(TARGETS[6:], alive(a=3, b=2, c=1))
    assert sorted(found) == TARGETS[6:]
    assert {owner: list(found.values()).count(owner) for owner in "abc"} == {"a": 1, "b": 2, "c": 3}


def test_a_target_goes_only_to_who_is_configured_with_it() -> None:
    two = {"a": Collector(5, TARGETS), "b": Collector(0, ["other"])}
    assert assign(["bng-00", "other", "unknown"], two) == {"bng-00": "a", "other": "b"}
    assert surplus("a", TARGETS[:5], [], two) == []


def test_who_has_just_started_gets_what_is_free_only_without_a_settled_one() -> None:
    new = Collector(0, TARGETS, settled=False)
    assert set(assign(TARGETS, {"a": Collector(9, TARGETS), "b": new}).values()) == {"a"}
    assert set(assign(TARGETS, {"a": new, "b": new}).values()) == {"a", "b"}
    assert surplus("a", TARGETS, [], {"a": Collector(12, TARGETS), "b": new}) == []


def test_the_surplus_is_what_makes_the_shares_fair() -> None:
    assert len(surplus("a", TARGETS, [], alive(a=12, b=0))) == 6
    assert len(surplus("a", TARGETS, [], alive(a=12, b=0, c=0))) == 8
    # two that hold too much do not both fill the third beyond its share
    for me in "ab":
        assert len(surplus(me, TARGETS[:6], [], alive(a=6, b=6, c=0))) == 2


def test_a_difference_of_one_is_no_reason() -> None:
    assert surplus("a", TARGETS[:4], [], alive(a=4, b=3)) == []
    assert surplus("a", TARGETS[:4], [], alive(a=4, b=3, c=3)) == []


def test_what_is_free_and_falls_to_others_counts() -> None:
    # handed over a moment ago and not yet taken
    assert surplus("a", TARGETS[:6], TARGETS[6:], alive(a=6, b=0)) == []


def test_who_is_not_alive_by_the_table_hands_nothing_over() -> None:
    assert surplus("z", TARGETS, [], alive(a=0)) == []


def test_many_go_in_several_turns() -> None:
    names = [f"bng-{n:04}" for n in range(1000)]
    two = {"a": Collector(1000, names), "b": Collector(0, names)}
    assert len(surplus("a", names, [], two)) == MOST_AT_ONCE


@pytest.mark.parametrize(
    "start", [(12, 0, 0), (0, 0, 12), (5, 7, 0), (6, 6, 0), (4, 4, 4), (1, 1, 10), (0, 11, 1)]
)
def test_it_comes_to_rest_with_fair_shares(start: tuple[int, ...]) -> None:
    names = iter(TARGETS)
    holds = {owner: [next(names) for _ in range(n)] for owner, n in zip("abc", start, strict=True)}
    for _ in range(6):
        view = {owner: Collector(len(held), TARGETS) for owner, held in holds.items()}
        given = [(owner, name) for owner in holds for name in surplus(owner, holds[owner], [], view)]
        for owner, name in given:
            holds[owner].remove(name)
        view = {owner: Collector(len(held), TARGETS) for owner, held in holds.items()}
        for name, owner in assign([name for _, name in given], view).items():
            holds[owner].append(name)
    assert given == []
    assert sorted(map(len, holds.values())) == [4, 4, 4]
    assert sorted(name for held in holds.values() for name in held) == TARGETS


def test_what_another_one_leaves_is_taken_after_a_while() -> None:
    now = [0.0]
    turn = Turn("a", 3.0, lambda: now[0])
    two = alive(a=1, b=0)
    assert turn.mine(["bng-00"], two) == []
    now[0] = 4.0
    assert turn.mine(["bng-00"], two) == ["bng-00"]
    assert turn.mine([], two) == []
    assert turn.mine(["bng-00"], two) == []
    assert turn.surplus(TARGETS, [], alive(a=12, b=0)) == surplus("a", TARGETS, [], alive(a=12, b=0))


def test_what_one_does_not_reach_another_one_tries() -> None:
    now = [100.0]
    reach = Reach("a", lambda: now[0])
    two = alive(a=2, b=0)
    assert reach.given_up({"bng-00": 100.0 - GIVE_UP}, two) == []
    now[0] += 1
    silent = {"bng-00": 100.0 - GIVE_UP, "bng-01": 100.0}
    nobody = {"a": two["a"], "b": Collector(0, ["other"]), "c": Collector(0, TARGETS, settled=False)}
    assert reach.given_up(silent, nobody) == []
    assert reach.given_up(silent, two) == ["bng-00"]
    assert reach.wanted(TARGETS) == TARGETS[1:]
    # it goes to the other one, which does not give it back to be fair
    without = {"a": Collector(0, TARGETS[1:]), "b": Collector(3, TARGETS)}
    assert assign(["bng-00"], without) == {"bng-00": "b"}
    assert surplus("b", ["bng-00"], [], without) == []
    now[0] += REST
    assert reach.wanted(TARGETS) == TARGETS
    # once more, and a failure is enough
    assert reach.given_up({"bng-00": now[0], "bng-01": now[0]}, two) == ["bng-00"]
    assert reach.wanted(["bng-01"]) == ["bng-01"]
    assert reach.given_up({"bng-00": now[0]}, two) == []


def test_many_that_are_not_reached_go_in_several_turns() -> None:
    names = [f"bng-{n:04}" for n in range(100)]
    two = {"a": Collector(100, names), "b": Collector(0, names)}
    assert len(Reach("a", lambda: 100.0).given_up(dict.fromkeys(names, 0.0), two)) == MOST_AT_ONCE
