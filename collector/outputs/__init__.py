"""Outputs: where the collector sends events besides PostgreSQL. All are optional, none is on by default.

PostgreSQL is the truth. A `relay` reads what is committed there, in order, and gives it to one `Output`; a
`registry` knows the types. An output that is away makes its relay wait, and nothing else: what was not sent
stays in PostgreSQL.
"""
