"""Subscriber sessions: what they are and how they live, without I/O.

`states` is the one transition table, `machine` the pure function (state, event, now) → (state,
effects), `events` what goes in, `effects` what comes out, `store` the indexes and the pool of slots,
`records` a session and its journal form, `recording` the readable form of events and effects.
All times are ``int`` nanoseconds since the epoch; all durations in configuration are seconds.
"""
