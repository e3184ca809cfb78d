"""The steps of access lines, and the sentence about each."""

from __future__ import annotations

from typing import Any

import pytest

from bng.session import effects as fx
from bng.session import events as ev
from bng.session import timeline as module
from bng.session.nat import EXHAUSTED
from bng.session.records import AccessLine
from bng.session.timeline import Step, Timeline
from bng.session.verdict import verdict
from tests.replay.record import EXTRA, attach, online
from tests.replay.scenario import NS, Player

LINE = AccessLine("node-a", "1/0/1")


class Watched(Player):
    """A player whose machine is looked at."""

    def __init__(self, settings: dict[str, Any] | None = None, max_steps: int = module.MAX_STEPS) -> None:
        super().__init__(settings)
        self.timeline = Timeline(max_steps)

    def do(self, at: float, event: ev.Event) -> list[Any]:
        effects = super().do(at, event)
        self.timeline.note(self.machine, event, effects, self.now)
        return effects

    def play(self, steps: list[dict[str, Any]]) -> Watched:
        for step in steps:
            (name, fields), *_ = [(key, value) for key, value in step.items() if key != "at"]
            self.step(step["at"], name, fields or {})
        return self

    def steps(self, line: AccessLine = LINE) -> list[Step]:
        return self.timeline.of(line)

    def told(self, line: AccessLine = LINE) -> list[tuple[str, str, int]]:
        return [(step.what, step.reason, step.repeated) for step in self.steps(line)]

    def verdict(self, later: float = 0, line: AccessLine = LINE, retry: float | None = None) -> str:
        now = self.now + int(later * NS)
        again = None if retry is None else now + int(retry * NS)
        return verdict(self.machine, line, self.steps(line), now, again)


def test_a_first_attach() -> None:
    player = Watched().play(online())
    assert [(step.kind, step.what, step.status) for step in player.steps()] == [
        ("dhcp", "DISCOVER", ""),
        ("dhcp", "OFFER", ""),
        ("dhcp", "REQUEST", ""),
        ("dhcp", "ACK", "authorizing"),
        ("radius", "Access-Request", "authorizing"),
        ("radius", "Access-Accept", "authorizing"),
        ("kernel", "start", "active"),
    ]
    assert player.steps()[3].detail == "100.64.0.10 for 3600 s from 192.0.2.53"
    assert player.steps()[-1].detail == "gold 100000/50000 kbit/s"
    assert player.steps()[0].number == 1
    assert player.verdict(later=59.95).startswith("Online: 100.64.0.10 forwards at gold 100000/50000 kbit/s;")
    assert "the lease ends in 59 min" in player.verdict(later=59.95)


def test_renewals_are_folded_as_a_cycle() -> None:
    player = Watched().play(online())
    for number in range(17):
        player.step(100 + number, "renew", {"ip": "100.64.0.10", "xid": 50 + number})
        player.step(100.1 + number, "ack", {"ip": "100.64.0.10", "xid": 50 + number})
    assert player.told()[-2:] == [("REQUEST", "", 17), ("ACK", "", 17)]
    assert (player.steps()[-1].time - player.steps()[-1].first) // NS == 16
    assert player.timeline.steps == len(player.steps()) == 9


def test_a_client_that_never_gets_on_is_folded_as_a_cycle_of_four() -> None:
    player = Watched()
    for number in range(5):
        at = number * 10
        fields = {"xid": number + 1}
        player.step(at, "discover", fields)
        player.step(at + 0.1, "offer", {**fields, "ip": "100.64.0.10"})
        player.step(at + 0.2, "request", {**fields, "ip": "100.64.0.10"})
        player.step(at + 0.3, "nak", fields)
    assert [(what, count) for what, _, count in player.told()] == [
        ("DISCOVER", 5), ("OFFER", 5), ("REQUEST", 5), ("NAK", 5),
    ]  # fmt: skip
    assert "refused the address" in player.verdict()


def test_drops_are_seen_without_a_session() -> None:
    player = Watched().play(EXTRA["flood"]()[:40])
    assert player.told() == [
        ("DISCOVER", "", 10),
        ("DISCOVER", "dropped: device-rate-limit", 10),
        ("DISCOVER", "dropped: rate-limit", 20),
    ]
    assert "dropped: rate-limit (the line sends more" in player.verdict()


def test_why_a_line_waits() -> None:
    player = Watched()
    assert "nothing was heard" in player.verdict()
    for step, text in zip(
        attach(),
        (
            "waiting for the DHCP server's OFFER since 3 s",
            "waiting for the subscriber's REQUEST",
            "waiting for the DHCP server's answer to the REQUEST",
            "Waiting for RADIUS since 3 s",
        ),
        strict=True,
    ):
        player.play([step])
        assert text in player.verdict(later=3)
    player.step(6.03, "silent", {})
    assert player.verdict(retry=7) == (
        "Not authorised: no RADIUS server answered in 6 s; asked again in 7 s."
    )


def test_rejected() -> None:
    player = Watched().play(attach())
    player.step(0.1, "reject", {"message": "service suspended", "server": "radius"})
    assert player.steps()[-1][1:5] == ("radius", "Access-Reject", "from radius", "service suspended")
    assert player.verdict(retry=12) == "Rejected: service suspended; asked again in 12 s."
    for number in range(3):
        player.step(20 + 20 * number, "due", {"timer": "auth-retry"})
        player.step(20.1 + 20 * number, "reject", {"message": "service suspended", "server": "radius"})
    assert player.told()[-2:] == [
        ("Access-Request", "asked again on the timer", 4),
        ("Access-Reject", "service suspended", 4),
    ]


def test_an_accept_without_a_usable_policy_says_so() -> None:
    player = Watched().play(attach())
    player.step(0.1, "accept", {"filter_ids": ["platinum"]})
    assert player.steps()[-1].what == "Access-Accept"
    assert player.steps()[-1].reason
    assert player.verdict().startswith("Rejected: ")


def test_the_data_plane_refuses() -> None:
    steps = EXTRA["dataplane-refusal"]()
    player = Watched().play(steps[:6])
    assert player.told()[-1] == ("start", "refused: No buffer space available", 1)
    assert player.verdict(retry=5) == (
        "Accepted, but the data plane refused: No buffer space available; asked again in 5 s."
    )


def test_no_public_address_is_free() -> None:
    pool = {
        "ranges": [["203.0.113.1", "203.0.113.1"]],
        "sources": ["100.64.0.0/16"],
        "port_block_size": 64000,
    }
    player = Watched({"nat": pool}).play(online())
    assert "; upstream as 203.0.113.1:1024-65023; " in player.verdict()
    other, fields = AccessLine("node-a", "1/0/2"), {"mac": "02:00:00:00:00:02", "ip": "100.64.0.11", "xid": 2}
    player.play([*attach(1, line="node-a 1/0/2", **fields)])
    player.step(1.1, "accept", {"filter_ids": ["gold"]})
    waits = "Accepted, but no public address or port block is free; asked again in 5 s."
    assert player.verdict(line=other, retry=5) == waits
    assert "pool-exhausted" in [what for what, _, _ in player.told(other)]
    player.step(16, "due", {"timer": "auth-retry", "key": "$2"})
    player.step(22, "silent", {})
    assert player.verdict(line=other).startswith("Not authorised: no RADIUS server answered")


def test_what_another_line_does_to_this_one() -> None:
    player = Watched().play(EXTRA["two-in-the-way"]())
    other = AccessLine("node-a", "1/0/2")
    assert (
        player.told(other)[-2:]
        == [
            ("terminating", "address bound on node-a 1/0/1", 1),
            ("stop", "address bound on node-a 1/0/1", 1),
        ]
        or player.told(other)[-2][0] == "terminating"
    )
    assert "address bound on node-a 1/0/1" in player.verdict(line=other)
    assert player.verdict().startswith("Online: 100.64.0.20")


def test_disconnected_and_kept_away() -> None:
    player = Watched().play(online())
    player.step(10, "Disconnect", {"token": 1, "session_id": "$1", "reason": "unpaid"})
    assert player.verdict() == "Ending (unpaid): waiting for the final counters."
    player.step(10.1, "stopped", {})
    assert "it was disconnected, and renewals are not answered for another 10 min" in player.verdict()
    player.step(20, "renew", {"ip": "100.64.0.10", "xid": 5})
    assert "only a DISCOVER brings the line back" in player.verdict()


def test_one_command_that_ends_many() -> None:
    player = Watched().play(EXTRA["many-lines"]())
    for number in range(1, 13):
        line = AccessLine("node-b", f"2/0/{number}")
        assert [what for what, _, _ in player.told(line)][-2:] == ["disconnect-sessions", "stop"]


@pytest.mark.parametrize("max_steps", [7, 20, 100])
def test_memory_is_bounded(max_steps: int) -> None:
    player = Watched(max_steps=max_steps)
    for number in range(30):
        line = f"node-c 3/0/{number}"
        player.play(attach(number, line=line, ip=f"100.64.2.{number + 1}", xid=number + 1,
                           mac=f"02:00:00:00:02:{number:02x}"))  # fmt: skip
        counted = sum(len(player.timeline.of(line)) for line in player.timeline.lines())
        assert counted == player.timeline.steps <= max_steps
        assert player.timeline.of(AccessLine("node-c", f"3/0/{number}")), "the newest line is known"
    assert len(player.timeline) < 30


def test_a_line_keeps_so_many_steps() -> None:
    player = Watched().play(online())
    for number in range(60):
        profile = "silver" if number % 3 else "gold"
        player.step(10 + number, "SetPolicy", {"token": number + 1, "session_id": "$1", "profile": profile})
        player.step(10.1 + number, "enforced", {})
        if number % 7 == 0:
            player.step(10.2 + number, "discover", {"xid": 900 + number})
    assert len(player.steps()) <= module.STEPS_PER_LINE
    assert player.timeline.steps == len(player.steps())


def test_what_was_shed_before_it_was_decoded_is_one_step() -> None:
    player = Watched().play(attach()[:1])
    for number in range(3000):
        player.timeline.shed(LINE, "rate-limit", player.now + number)
    assert player.told() == [("DISCOVER", "", 1), ("packet", "dropped: rate-limit", 3000)]
    assert player.timeline.knows(LINE)
    assert not player.timeline.knows(AccessLine("node-a", "1/0/2"))


def test_what_is_logged_is_a_step() -> None:
    player = Watched()
    player.machine.store.slots.size = 0
    player.play(attach())
    assert player.steps()[-1][1:4] == ("state", "no-slot", "ip=100.64.0.10")
    assert player.verdict() == "No session: waiting for a DISCOVER."


def test_what_an_accept_grants() -> None:
    player = Watched().play(attach())
    player.step(1, "accept", {"download_kbps": 5000, "upload_kbps": 1000, "server": "radius"})
    assert player.steps()[-1].detail == "Accept 5000/1000 kbit/s from radius"


def test_timers_are_steps_but_for_those_of_accounting_and_questions() -> None:
    player = Watched().play(online())
    session_id = player.id("$1")
    player.do(700, ev.TimerDue(ev.Timer.INTERIM, session_id))
    assert player.steps()[-1].what == "start"
    player.do(4000, ev.TimerDue(ev.Timer.LEASE, session_id))
    assert ("timer", "lease") in [step[1:3] for step in player.steps()]


def test_a_question_about_another_session_is_not_this_ones() -> None:
    player = Watched().play(attach())
    before = player.steps()
    ask = fx.AskRadius("f" * 16, 1, "u", "m", "i", "p")
    renewal = ev.RadiusUnanswered(player.id("$1"), 1)
    player.machine.handle(renewal, player.now)
    player.timeline.note(player.machine, renewal, [ask], player.now)
    assert [step.what for step in player.steps()[len(before) :]] == ["no-answer"]


def test_what_is_no_step_has_words_all_the_same() -> None:
    assert module.describe(ev.TimerDue(ev.Timer.INTERIM, "0" * 16)) == ("timer", "TimerDue", "", "")
    changed = ev.SettingsChanged(Watched().settings)
    assert module.describe(changed) == ("command", "SettingsChanged", "", "")


class TestVerdict:
    """Sentences for what is rare."""

    def test_idle_and_asked_again(self) -> None:
        player = Watched().play(online())
        player.step(10, "SessionIdle", {"session_id": "$1", "since": player.now})
        assert "; no traffic for 10 s; " in player.verdict()
        player.step(11, "Reauthenticate", {"token": 1, "session_id": "$1"})
        assert player.verdict().endswith("; the RADIUS server has been asked again.")

    def test_a_change_that_the_data_plane_refused(self) -> None:
        player = Watched().play(online())
        player.step(10, "SetPolicy", {"token": 1, "session_id": "$1", "profile": "silver"})
        player.step(11, "enforced", {"error": "No buffer space available"})
        assert player.verdict().endswith("; the data plane refused: No buffer space available.")

    def test_the_last_packet_of_a_session_was_dropped(self) -> None:
        player = Watched().play(online())
        for number in range(40):
            player.step(10, "discover", {"xid": 100 + number})
        assert player.verdict().endswith("; its last DISCOVER was dropped: rate-limit.")

    def test_a_lease_without_end_and_no_policy(self) -> None:
        player = Watched().play(online())
        session = player.session()
        assert session is not None
        session.lease_expiry_ns, session.policy = None, None
        assert player.verdict() == "Online: 100.64.0.10 forwards at no policy."

    def test_online_but_not_upstream(self) -> None:
        player = Watched().play(online())
        session = player.session()
        assert session is not None
        session.refusal = EXHAUSTED
        assert "; but not upstream: no public address or port block is free; " in player.verdict()

    def test_accepted_and_on_its_way(self) -> None:
        player = Watched().play(online()[:-1])
        assert player.verdict() == "Accepted: waiting for the data plane."

    def test_a_session_of_which_nothing_is_remembered(self) -> None:
        player = Watched().play(attach())
        session = player.session()
        assert session is not None
        assert verdict(player.machine, LINE, [], player.now).startswith("Waiting for RADIUS: ")
        player.step(1, "silent", {})
        assert verdict(player.machine, LINE, [], player.now) == "Not authorised yet."
        silence = [step for step in player.steps() if step.what != "Access-Request"]
        assert verdict(player.machine, LINE, silence, player.now) == (
            "Not authorised: no RADIUS server answered."
        )

    def test_a_session_that_could_not_be_started(self) -> None:
        player = Watched({"max_sessions": 1}).play(online())
        player.step(10, "discover", {"line": "node-a 1/0/2", "mac": "02:00:00:00:00:02", "xid": 2})
        told = player.verdict(line=AccessLine("node-a", "1/0/2"))
        assert "as many sessions as sessions-policy/max-sessions admits are there" in told
        for what, said in (("ACK", "but no session could be started"), ("DECLINE", "waiting for a DISCOVER")):
            step = Step(player.now, "dhcp", what, "", "", "", "", 1, 1, player.now)
            assert said in verdict(player.machine, AccessLine("x", "y"), [step], player.now)

    def test_a_session_that_ended_by_itself(self) -> None:
        player = Watched().play(online())
        session = player.session()
        assert session is not None
        reason = "the DHCP server has no lease for it any more"
        player.do(20, ev.LeaseGone(session.id, session.renewed_ns, reason))
        player.step(21, "stopped", {})
        assert [step.what for step in player.steps()][-2:] == ["lease-gone", "stop"]
        assert player.verdict() == f"No session: it ended ({reason}); waiting for a DISCOVER."
        assert verdict(player.machine, LINE, player.steps()[-1:], player.now) == (
            "No session: waiting for a DISCOVER."
        )

    def test_durations(self) -> None:
        player = Watched().play(attach()[:1])
        for later, text in ((0.35, "350 ms"), (3, "3 s"), (720, "12 min"), (18_000, "5 h")):
            assert player.verdict(later=later).endswith(f" since {text}.")
