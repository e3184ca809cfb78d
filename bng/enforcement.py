"""Carrying out the data plane effects of the machine, batched, with the counter matrix kept true to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

import numpy as np
import structlog

from bng.dataplane.base import (
    COUNTERS,
    Binding,
    Change,
    DataPlane,
    DataPlaneError,
    Rates,
    RawCounters,
    Start,
    Stop,
)
from bng.seam.matrix import GENERATION, OFFSETS, TOTALS, Matrix
from bng.session import counters
from bng.session.effects import EnforceChange, EnforceStart, EnforceStop
from bng.session.events import Counters, Enforced, Operation
from bng.session.nat import NatBinding
from bng.session.records import Session
from bng.session.settings import Policy

log = structlog.get_logger()

Effect = EnforceStart | EnforceChange | EnforceStop


def rates_of(policy: Policy) -> Rates:
    """A policy in the data plane's words."""
    return Rates(
        policy.download_rate,
        policy.upload_rate,
        policy.download_burst or 0,
        policy.upload_burst or 0,
        policy.priority,
    )


def binding_of(nat: NatBinding | None) -> Binding | None:
    """A public address and ports in the data plane's words."""
    return None if nat is None else Binding(IPv4Address(nat.address), nat.port_first, nat.port_last)


def start_of(effect: EnforceStart) -> Start:
    """A start in the data plane's words."""
    mac = None if effect.routed else bytes.fromhex(effect.mac_address.replace(":", ""))
    return Start(
        effect.slot,
        effect.session_id,
        effect.interface,
        mac,
        IPv4Address(effect.ip_address),
        rates_of(effect.policy),
        binding_of(effect.nat),
    )


def failure_of(effect: Effect, error: str) -> Enforced:
    """The result of an effect that could not be carried out."""
    if isinstance(effect, EnforceStop):
        return Enforced(effect.session_id, Operation.STOP, error=error)
    operation = Operation.START if isinstance(effect, EnforceStart) else Operation.CHANGE
    return Enforced(effect.session_id, operation, effect.policy, effect.token, error)


class Enforcer:
    """The data plane and the matrix, moved together.

    Args:
        bound: called with (slot, session id) when a slot begins to count for a session, and with
            (slot, None) when it no longer does.

    Attributes:
        errors: refusals of the kernel since the start.
    """

    def __init__(
        self, dataplane: DataPlane, matrix: Matrix, bound: Callable[[int, str | None], None]
    ) -> None:
        self.errors = 0
        self._dataplane = dataplane
        self._matrix = matrix
        self._bound = bound

    def run(self, effects: Sequence[Effect]) -> list[Enforced]:
        """Carry effects out. Their order holds for each session; over all, stops go first, then starts, then
        changes, each kind in one batch. One `Enforced` for each effect."""
        results: list[Enforced] = []
        batch: dict[type[Effect], list[Effect]] = {}
        kind_of: dict[str, type[Effect]] = {}
        for effect in effects:
            kind = type(effect)
            if kind_of.setdefault(effect.session_id, kind) is not kind:
                results += self._run(batch)
                batch, kind_of = {}, {effect.session_id: kind}
            batch.setdefault(kind, []).append(effect)
        return results + self._run(batch)

    def adopt(self, sessions: Sequence[Session]) -> None:
        """Sessions go on as the kernel has them. Those that the matrix does not know count from now on: its
        file was lost."""
        if not sessions:
            return
        self._matrix.grow(1 + max(session.slot for session in sessions))
        unknown = [s for s in sessions if self.totals(s.slot, s.generation) is None]
        if unknown:
            log.warning("recovery.counters-lost", sessions=len(unknown))
            values = self._dataplane.sweep().values
            with self._matrix.writing() as rows:
                for session in unknown:
                    counters.bind(rows, session.slot, session.generation, values[session.slot].tolist())
        for session in sessions:
            self._bound(session.slot, session.id)

    def totals(self, slot: int, generation: int) -> Counters | None:
        """Counters of a session as of the last sweep; None when its slot does not count for it."""
        rows = self._matrix.rows
        if slot >= len(rows) or int(rows[slot, GENERATION]) != generation:
            return None
        return Counters(*counters.totals(rows, slot))

    def _run(self, batch: dict[type[Effect], list[Effect]]) -> list[Enforced]:
        results: list[Enforced] = []
        if stops := [effect for effect in batch.get(EnforceStop, ()) if isinstance(effect, EnforceStop)]:
            results += self._stop(stops)
        if starts := [effect for effect in batch.get(EnforceStart, ()) if isinstance(effect, EnforceStart)]:
            results += self._start(starts)
        if changes := [
            effect for effect in batch.get(EnforceChange, ()) if isinstance(effect, EnforceChange)
        ]:
            results += self._change(changes)
        return results

    def _stop(self, effects: list[EnforceStop]) -> list[Enforced]:
        try:
            results = self._dataplane.stop([Stop(effect.slot, effect.session_id) for effect in effects])
            outcomes = [(result.error or "", result.final) for result in results]
        except DataPlaneError as error:
            outcomes = [(str(error), None)] * len(effects)
        enforced = []
        with self._matrix.writing():
            for effect, (problem, final) in zip(effects, outcomes, strict=True):
                self._note(problem, "stop", effect.session_id)
                enforced.append(
                    Enforced(
                        effect.session_id,
                        Operation.STOP,
                        error=problem,
                        counters=self._final(effect, final),
                    )
                )
                self._bound(effect.slot, None)
        return enforced

    def _final(self, effect: EnforceStop, final: RawCounters | None) -> Counters | None:
        if self.totals(effect.slot, effect.generation) is None:
            return None
        if final is not None:
            raw = [getattr(final, name) for name in COUNTERS]
            counters.apply_one(self._matrix.rows, effect.slot, raw)
        return self.totals(effect.slot, effect.generation)

    def _start(self, effects: list[EnforceStart]) -> list[Enforced]:
        self._matrix.grow(1 + max(effect.slot for effect in effects))
        try:
            results = self._dataplane.start([start_of(effect) for effect in effects])
            outcomes = [(result.error or "", result.baseline) for result in results]
        except DataPlaneError as error:
            outcomes = [(str(error), None)] * len(effects)
        enforced = []
        with self._matrix.writing():
            for effect, (problem, baseline) in zip(effects, outcomes, strict=True):
                self._note(problem, "start", effect.session_id)
                if not problem:
                    self._begin(effect, baseline)
                enforced.append(
                    Enforced(effect.session_id, Operation.START, effect.policy, effect.token, problem)
                )
        return enforced

    def _begin(self, effect: EnforceStart, baseline: RawCounters | None) -> None:
        """Count for a session from its baseline on. One that was counted before (the kernel had lost it)
        keeps its totals; without a baseline it forwards already, and its counters go on."""
        known = self.totals(effect.slot, effect.generation) is not None
        if not known or baseline is not None:
            if baseline is None:
                baseline = self._dataplane.read(effect.slot) or RawCounters()
            raw = [getattr(baseline, name) for name in COUNTERS]
            row = self._matrix.rows[effect.slot]
            if known:
                row[OFFSETS] = row[TOTALS] - np.array(raw, np.uint64)
            else:
                counters.bind(self._matrix.rows, effect.slot, effect.generation, raw)
        self._bound(effect.slot, effect.session_id)

    def _change(self, effects: list[EnforceChange]) -> list[Enforced]:
        changes = [Change(effect.slot, rates_of(effect.policy)) for effect in effects]
        try:
            outcomes = [result.error or "" for result in self._dataplane.change(changes)]
        except DataPlaneError as error:
            outcomes = [str(error)] * len(effects)
        enforced = []
        for effect, problem in zip(effects, outcomes, strict=True):
            self._note(problem, "change", effect.session_id)
            enforced.append(
                Enforced(effect.session_id, Operation.CHANGE, effect.policy, effect.token, problem)
            )
        return enforced

    def _note(self, problem: str, operation: str, session_id: str) -> None:
        if problem:
            self.errors += 1
            log.warning("dataplane.refused", operation=operation, session=session_id, reason=problem)
