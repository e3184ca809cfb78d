"""What the parts of the control plane tell for its health report (aether-health) and summary."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bng.aaa.report import accounting_health, server_health
from bng.daemon.process import read_pids
from bng.health import nat_report, process_memory
from bng.session.states import State

if TYPE_CHECKING:
    from bng.daemon.control import Control


class Report:
    """Made for each health report."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._setups = (0, time.monotonic())

    def parts(self) -> dict[str, Any]:
        """Leaves of aether-health, with ``_`` for ``-``."""
        control = self._control
        store, relay = control.machine.store, control.machine.relay
        lost = control.captures.count_lost() + control.uplink.count_lost()
        unseen = {
            "socket-full": lost,
            "queue-full": control.writer.dropped,
            "malformed": control.outlets.malformed,
        }
        drops = {**unseen, **relay.dropped}
        return {
            "sessions": len(store),
            "sessions_active": store.by_status[State.ACTIVE] + store.by_status[State.IDLE],
            "queue_depth": control.writer.waiting,
            "dhcp_received": relay.received + sum(unseen.values()),
            "dhcp_dropped": sum(drops.values()),
            "dhcp_drop": [
                {"reason": reason, "packets": packets} for reason, packets in sorted(drops.items()) if packets
            ],
            "summary": self._summary(),
            "netlink_errors": control.enforcer.errors,
            **nat_report(control.machine.nat, tracked=control.config.nat_prefixes is not None),
            "journal_newest_seq": control.journal.durable,
            "dynamic_authorization": control.coa.statistics(),
            **accounting_health(control.aaa.client, control.spool),
            "radius_server": [server_health(state) for state in control.aaa.client.servers],
            "journal_pending": control.journal.pending,
            "journal_alarm": control.journal.alarm,
            "commands_pending": control.server.pending,
            "process": process_memory(read_pids(control.state_dir)),
            "reconcile": control.repairs.record(),
            "dhcp_server": [
                {
                    "address": address,
                    "up": server.up,
                    "requests": server.requests,
                    "replies": server.replies,
                    "latency": server.latency,
                    "lease_api": control.leases.record(address),
                }
                for address, server in relay.servers.items()
            ],
        }

    def _summary(self) -> dict[str, Any]:
        """What of aether-subscriber:summary is not in the journal."""
        machine, now = self._control.machine, time.monotonic()
        (before, then), self._setups = self._setups, (machine.started_total, now)
        rate = round((machine.started_total - before) / max(now - then, 0.001))
        return {"setup_rate": rate, "failure": dict(machine.failures)}
