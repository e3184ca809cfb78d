"""Subscriber sessions: what they are and how they live, without I/O.

The machine
    `states` is the one transition table; `machine` the pure function (state, event, now) → (state, effects),
    in parts from the ground up: `base`, `authorization`, `moves`, `lifecycle`, `commands`, `dynamic` (by
    RADIUS), `leases`. `events` is what goes in, `effects` what comes out.
What it keeps
    `store` the indexes and the pool of slots, `nat` the pool of public addresses, `relay` the DHCP exchanges
    under way, `admission` and `limits` who may send how much, `records` a session and its journal form.
Looking at it
    `timeline` and `verdict` what happened on a line and why it stands as it does; `recording`, `snapshot`,
    `replay` and `narrate` recordings; `diagram` draws the table.

All times are ``int`` nanoseconds since the epoch; all durations in configuration are seconds.
"""
