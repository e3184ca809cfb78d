"""The life of a session: ONE table, state × input → next state and handler.

The diagram in docs/session-states.md is drawn from it (`bng.session.diagram`). An input that has no
row in a state is ignored there. Handlers are in `bng.session.authorization`, `lifecycle` and `dynamic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class State(StrEnum):
    """States of a session; all but GONE are values of aether-types:session-status.

    PENDING is the life of an access line before its session has an address: a DHCP exchange is
    under way, or its address is bound and waits for a session that still ends. It is neither
    journaled nor visible, and there is no session yet: its handlers get the exchange or the binding.
    """

    PENDING = "pending"
    AUTHORIZING = "authorizing"
    ACTIVE = "active"
    IDLE = "idle"
    REJECTED = "rejected"
    TERMINATING = "terminating"
    GONE = "gone"


class Input(StrEnum):
    """What can happen to a session, whatever packet, answer or command it came from."""

    BOUND = "bound"  # ACK: the access line got an address
    EXPIRED = "expired"  # the DHCP exchange brought no address in time
    DENIED = "denied"  # a session of another line has the address, or the device, and keeps it
    NO_SLOT = "no-slot"  # all slots are in use
    RENEWED = "renewed"  # ACK of the same address to the same device
    REPLACED = "replaced"  # ACK of another address, or to another device
    NAKED = "naked"  # NAK, fewer than the threshold
    NAK_LIMIT = "nak-limit"  # NAKs reached the threshold
    RELEASED = "released"
    DECLINED = "declined"
    LEASE_EXPIRED = "lease-expired"
    LEASE_LOST = "lease-lost"  # the DHCP servers know of no lease
    ACCEPTED = "accepted"  # Access-Accept with a usable policy
    REJECTED = "rejected"  # Access-Reject, or Accept without a usable policy
    UNANSWERED = "unanswered"
    RETRY_DUE = "retry-due"
    ENFORCED = "enforced"  # data plane start or change worked
    NOT_ENFORCED = "not-enforced"  # it did not
    STOPPED = "stopped"  # data plane stop done
    IDLE = "idle"
    TRAFFIC = "traffic"
    INTERIM_DUE = "interim-due"
    SESSION_TIMEOUT = "session-timeout"
    IDLE_TIMEOUT = "idle-timeout"
    DISCONNECT = "disconnect"
    REAUTHENTICATE = "reauthenticate"
    SET_POLICY = "set-policy"
    SET_TERMS = "set-terms"  # timeouts alone


class Transition(NamedTuple):
    """A row's right-hand side.

    Attributes:
        state: the state after it.
        handler: name of the method that does the work.
    """

    state: State
    handler: str


_P, _A, _V, _I = State.PENDING, State.AUTHORIZING, State.ACTIVE, State.IDLE
_R, _T, _G = State.REJECTED, State.TERMINATING, State.GONE

_ROWS: dict[tuple[State, Input], Transition] = {
    (_P, Input.BOUND): Transition(_A, "on_bound"),
    (_P, Input.EXPIRED): Transition(_G, "on_expired"),
    (_P, Input.DENIED): Transition(_G, "on_denied"),
    (_P, Input.NO_SLOT): Transition(_G, "on_no_slot"),
    # an address is bound, the RADIUS server has been asked
    (_A, Input.RENEWED): Transition(_A, "on_renewed"),
    (_A, Input.ACCEPTED): Transition(_A, "on_accepted"),
    (_A, Input.REJECTED): Transition(_R, "on_rejected"),
    (_A, Input.UNANSWERED): Transition(_A, "on_unanswered"),
    (_A, Input.RETRY_DUE): Transition(_A, "on_ask"),
    (_A, Input.REAUTHENTICATE): Transition(_A, "on_ask"),
    (_A, Input.ENFORCED): Transition(_V, "on_started"),
    (_A, Input.NOT_ENFORCED): Transition(_A, "on_not_started"),
    # refused: asked again at renewal and on a timer
    (_R, Input.RENEWED): Transition(_R, "on_renewed_ask"),
    (_R, Input.ACCEPTED): Transition(_A, "on_accepted"),
    (_R, Input.REJECTED): Transition(_R, "on_rejected"),
    (_R, Input.UNANSWERED): Transition(_R, "on_unanswered"),
    (_R, Input.RETRY_DUE): Transition(_R, "on_ask"),
    (_R, Input.REAUTHENTICATE): Transition(_R, "on_ask"),
    # forwarding
    (_V, Input.IDLE): Transition(_I, "on_idle"),
    (_I, Input.TRAFFIC): Transition(_V, "on_traffic"),
    (_I, Input.IDLE_TIMEOUT): Transition(_T, "on_end"),
    # final counters are on their way
    (_T, Input.STOPPED): Transition(_G, "on_stopped"),
    (_T, Input.DISCONNECT): Transition(_T, "on_disconnect_again"),
}


def _complete(table: dict[tuple[State, Input], Transition]) -> dict[tuple[State, Input], Transition]:
    """Add the rows that several states share."""
    for state in (_V, _I):
        table[state, Input.RENEWED] = Transition(state, "on_renewed")
        table[state, Input.ACCEPTED] = Transition(state, "on_reaccepted")
        table[state, Input.REJECTED] = Transition(_T, "on_revoked")
        table[state, Input.UNANSWERED] = Transition(state, "on_still_unanswered")
        table[state, Input.REAUTHENTICATE] = Transition(state, "on_ask")
        table[state, Input.RETRY_DUE] = Transition(state, "on_ask")  # RADIUS was silent when it began
        table[state, Input.ENFORCED] = Transition(state, "on_changed")
        table[state, Input.NOT_ENFORCED] = Transition(state, "on_not_changed")
        table[state, Input.SET_POLICY] = Transition(state, "on_set_policy")
        table[state, Input.SET_TERMS] = Transition(state, "on_set_terms")
        table[state, Input.INTERIM_DUE] = Transition(state, "on_interim")
        table[state, Input.SESSION_TIMEOUT] = Transition(_T, "on_end")
    for state in (_A, _R, _V, _I):
        table[state, Input.NAKED] = Transition(state, "on_naked")
        for ending in (
            Input.NAK_LIMIT,
            Input.RELEASED,
            Input.DECLINED,
            Input.LEASE_EXPIRED,
            Input.LEASE_LOST,
            Input.REPLACED,
            Input.DISCONNECT,
        ):
            table[state, ending] = Transition(_T, "on_end")
    return table


TABLE: Mapping[tuple[State, Input], Transition] = MappingProxyType(_complete(_ROWS))
