"""The kill matrix: everything between a BNG's journal and PostgreSQL dies under churn, and nothing is lost.

    python -m tests.chaos --kills 60 [--seed N]

Three BNGs (journals that survive a kill, 150 events a second each, samples every second) behind wires that
can be cut, three collectors, a PostgreSQL that flushes. Prints what it does, and a verdict as one JSON line.
"""
