"""Rounds of the comparison: what is news at once, and what has to be said twice."""

from __future__ import annotations

from bng.leases import lease as kea
from bng.leases.comparison import Comparison
from bng.leases.lease import Origin
from bng.leases.places import Place
from bng.session.events import LeaseFound
from bng.session.records import AccessLine, Binding, Session
from bng.session.states import State
from bng.session.store import Store
from tests.support.fake_kea import NOW, NS, lease

START = NOW * NS


class Rounds:
    """A store with sessions, and rounds with the leases that a test gives."""

    def __init__(self, *numbers: int) -> None:
        self.store = Store(1000)
        self.now = START + 100 * NS
        self.comparison = Comparison(self.store, self.find)
        self.comparison.relay_id = "bng-01"
        for number in numbers:
            self.add(number)

    @staticmethod
    def find(origin: Origin, _address: str) -> Place | None:
        return None if origin.line.remote_id == "unknown" else Place("sub0", "0.0.0.0")

    def add(self, number: int) -> Session:
        binding = Binding(
            AccessLine("node-1", f"1/0/{number}"), f"02:00:00:00:00:{number:02x}", f"10.0.1.{number}",
            "sub0", "0.0.0.0", "192.0.2.2", START + 3600 * NS,
        )  # fmt: skip
        session = Session(f"{number:016x}", "bng-01", binding, routed=False, now=START)
        session.slot, session.generation = self.store.slots.take()
        session.state = State.ACTIVE
        self.store.add(session)
        return session

    def round(self, *leases: dict, complete: bool = True, same_lives: bool = True) -> tuple[list, list[str]]:
        """(leases that are news, numbers of sessions that are gone)"""
        self.now += 15 * NS
        self.comparison.begin(self.now)
        found = [self.comparison.lease(kea.read(raw), "192.0.2.2", 0, self.now) for raw in leases]
        for session in self.store:
            self.comparison.session(session)
        gone = self.comparison.end(complete=complete, same_lives=same_lives)
        return [one for one in found if one], [event.session_id.lstrip("0") for event in gone]


def test_what_fits_is_no_news() -> None:
    rounds = Rounds(1, 2)
    for _ in range(4):
        assert rounds.round(lease(1), lease(2, renewed=NOW + 3)) == ([], [])
    assert rounds.comparison.compared == 2


def test_a_lease_without_its_session_is_news_at_once() -> None:
    (found,), gone = Rounds(1).round(lease(1), lease(2))
    assert gone == []
    assert found == LeaseFound(
        "node-1", "1/0/2", "sub0", "0.0.0.0", "02:00:00:00:00:02", "10.0.1.2",
        START + 3600 * NS, START, "192.0.2.2",
    )  # fmt: skip


def test_leases_that_are_none_of_ours() -> None:
    rounds = Rounds()
    ended = lease(1, renewed=NOW - 4000)
    assert rounds.round(ended, lease(2, state=1), lease(3, state=2), lease(4, relay_id="bng-02")) == ([], [])
    assert rounds.comparison.unplaced == 0
    assert rounds.round(lease(5) | {"user-context": {}}, lease(6, line="unknown 1/0/1")) == ([], [])
    assert rounds.comparison.unplaced == 2


def test_without_option_82_a_lease_still_stands_for_its_session() -> None:
    rounds = Rounds(1)
    for _ in range(3):
        (found,), gone = rounds.round(lease(1, lifetime=7200) | {"user-context": {}})
        assert (found.circuit_id, found.interface, gone) == ("1/0/1", "sub0", [])


def test_gone_when_it_was_there_and_two_rounds_miss_it() -> None:
    rounds = Rounds(1, 2)
    assert rounds.round(lease(1), lease(2)) == ([], [])
    assert rounds.round(lease(1)) == ([], [])
    assert rounds.round(lease(1)) == ([], ["2"])


def test_declined_or_another_clients_is_gone_as_well() -> None:
    for other in (lease(2, state=1), lease(2, relay_id="bng-02", renewed=NOW + 50)):
        rounds = Rounds(1, 2)
        rounds.round(lease(1), lease(2))
        rounds.round(lease(1), other)
        assert rounds.round(lease(1), other) == ([], ["2"])


def test_what_another_client_holds_needs_no_witness() -> None:
    rounds = Rounds(1, 2)
    taken = lease(2, relay_id="bng-02", renewed=NOW + 50)
    assert rounds.round(lease(1), taken) == ([], [])
    assert rounds.round(lease(1), taken) == ([], ["2"])
    old = lease(2, relay_id="bng-02", renewed=NOW - 50)
    rounds = Rounds(1, 2)
    for _ in range(3):
        assert rounds.round(lease(1), old) == ([], [])


def test_never_seen_is_not_gone() -> None:
    rounds = Rounds(1, 2)
    for _ in range(4):
        assert rounds.round(lease(1)) == ([], [])


def test_renewed_in_between_is_not_gone() -> None:
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    rounds.round(lease(1))
    session = rounds.store.with_ip("10.0.1.2")
    assert session is not None
    session.renewed_ns = rounds.now + NS
    assert rounds.round(lease(1)) == ([], [])
    assert rounds.round(lease(1)) == ([], ["2"])


def test_a_round_that_is_not_complete_says_nothing_and_breaks_the_row() -> None:
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    rounds.round(lease(1))
    assert rounds.round(lease(1), complete=False) == ([], [])
    assert rounds.round(lease(1)) == ([], [])
    assert rounds.round(lease(1)) == ([], ["2"])


def test_a_server_that_starts_anew_is_no_witness_of_what_was_before() -> None:
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    assert rounds.round(lease(1), same_lives=False) == ([], [])
    for _ in range(3):
        assert rounds.round(lease(1)) == ([], [])
    rounds.round(lease(1), lease(2))
    rounds.round(lease(1))
    assert rounds.round(lease(1)) == ([], ["2"])


def test_many_at_once_are_the_servers_loss() -> None:
    numbers = range(1, 41)
    rounds = Rounds(*numbers)
    rounds.round(*(lease(number) for number in numbers))
    for _ in range(3):
        assert rounds.round(*(lease(number) for number in numbers if number > 20)) == ([], [])
        assert rounds.comparison.implausible == 20
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    for _ in range(3):
        assert rounds.round() == ([], [])


def test_who_begins_during_the_round_is_not_compared() -> None:
    rounds = Rounds(1)
    rounds.round(lease(1))
    session = rounds.add(2)
    session.renewed_ns = rounds.now + 15 * NS
    rounds.round(lease(1))
    assert rounds.comparison.compared == 1


def test_a_round_that_comes_right_after_a_renewal_forgets_no_witness() -> None:
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    (session,) = (one for one in rounds.store if one.id.endswith("1"))
    session.renewed_ns = rounds.now + 15 * NS
    assert rounds.round(lease(2)) == ([], []), "renewed a moment ago: not compared"
    rounds.round(lease(2))
    assert rounds.round(lease(2)) == ([], ["1"])


def test_who_is_ending_is_neither_compared_nor_missed() -> None:
    rounds = Rounds(1, 2)
    rounds.round(lease(1), lease(2))
    (session,) = (one for one in rounds.store if one.id.endswith("1"))
    session.state = State.TERMINATING
    for _ in range(3):
        assert rounds.round(lease(2)) == ([], [])
    assert rounds.comparison.compared == 1


def test_a_lease_without_end() -> None:
    rounds = Rounds(1, 2)
    for _ in range(2):
        found, _ = rounds.round(lease(1, lifetime=0xFFFFFFFF), lease(2))
        assert [one.expires for one in found] == [None], "the session's lease has an end: that is news"
