"""The kill matrix: everything between a BNG's journal and PostgreSQL dies under churn, and nothing is lost.

    python -m tests.chaos --kills 60 [--seed N] [--real 3] [--simulated 1]

Three BNGs that are the product, in network namespaces with Kea and FreeRADIUS, where some tens of subscribers
a second come, send and go; a simulated one, whose clock and retention may be set (150 events a second);
samples every second; wires that can be cut, three collectors on hosts whose clocks may be set, a PostgreSQL
that flushes. Root. Prints what it does, and a verdict as one JSON line.
"""
