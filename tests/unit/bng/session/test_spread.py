"""Sessions that begin together do not report together."""

from __future__ import annotations

from collections import Counter

from bng.session import effects as fx
from bng.session.events import Timer
from bng.session.machine import Machine
from bng.session.records import AccessLine, Binding, Session, to_event
from bng.session.settings import Policy, Settings
from bng.session.states import State

NS = 1_000_000_000
NOW = 1_800_000_000 * NS
COUNT, INTERVAL = 5000, 300


def record(number: int) -> dict[str, object]:
    """A session as machines number them: those of the same millisecond differ in their last digits."""
    line = AccessLine("node", str(number))
    binding = Binding(
        line, "02:00:00:00:00:01", f"10.0.{number >> 8}.{number & 255}", "sub0", "0.0.0.0", "x", None
    )
    session = Session(f"{1234:010x}{number + 1:06x}", "bng-01", binding, routed=False, now=NOW)
    session.state, session.policy = State.ACTIVE, Policy("gold", 10**6, 10**6)
    session.slot, session.generation, session.authorized_ns = number, number + 1, NOW
    session.authorization = "local" if number % 2 else "radius"
    return to_event(session, "policy-apply")


def test_after_a_restart_interims_and_retries_are_spread_over_their_interval() -> None:
    settings = Settings("bng-01", "bng-01", interim_interval=INTERVAL, auth_retry_interval=100)
    machine = Machine(settings, sequence=0, now=NOW)
    effects = machine.restore([record(n) for n in range(COUNT)], {}, NOW)
    timers = [effect for effect in effects if isinstance(effect, fx.SetTimer)]
    interims = [(timer.deadline - NOW) / NS for timer in timers if timer.timer is Timer.INTERIM]
    assert len(interims) == COUNT
    assert 0 <= min(interims) < max(interims) <= INTERVAL
    per_second = Counter(int(deadline) for deadline in interims)
    assert len(per_second) >= INTERVAL - 1
    assert max(per_second.values()) <= 1.5 * COUNT / INTERVAL
    retries = Counter((timer.deadline - NOW) // NS for timer in timers if timer.timer is Timer.AUTH_RETRY)
    assert sum(retries.values()) == COUNT // 2
    assert max(retries.values()) <= 1.5 * COUNT / 2 / 25
