"""An optional bus between BNGs and PostgreSQL: collectors publish to NATS JetStream, writers read from it.

A BNG has one subject, and on it one chain of messages: each names the one before it, and the server takes it
only behind that one. So a doubled publisher is refused by the server, and a writer sees when something in
between is gone. How far a writer has come is in PostgreSQL, in the transaction that has the rows.

Publishers need no PostgreSQL, writers need no BNG.
"""
