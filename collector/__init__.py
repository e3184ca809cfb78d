"""The collector: gNMI in, PostgreSQL out, nothing lost and nothing twice.

For each BNG that this process holds the lease of (`lease`), one gNMI session (`session`) carries two
subscriptions: samples (counters, health, access routers) and the event journal. `decode` turns notifications
into rows, `fold` turns events into changes of the tables of live and past sessions, `writer` commits rows and
cursor in one transaction that a newer lease fences off, and `gaps` records what is missing.

There is no queue in between: a batch is read, then written, then the next one is read. While PostgreSQL is
away nothing is read; HTTP/2 pushes back, the BNG coalesces samples and keeps events in its journal.
"""
