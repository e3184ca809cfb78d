"""The NETCONF server of an element, and the client that an OSS speaks to it with.

Knows nothing of what it serves: it is given a `yang.tree.Tree` and addresses to listen on.
`protocol` is NETCONF without I/O, `operations` has one file per RPC, `session` runs one session,
`subscriptions` feeds its notifications, `server` listens, `client` is the other side.
"""
