"""gNMI: serves a `yang.tree.Tree` to collectors. Knows nothing of subscribers of a network.

`server` listens and decides who may call; `get` and `set` answer single requests; `stream` is one
Subscribe RPC. What a stream sends comes from sources (`samples`, `changes`, `logs`), one for each part
into which `plan` takes a path apart. `subscribe` says when, `encoder` and `sampler` make the messages,
`protocol` holds what a client needs too.
"""
