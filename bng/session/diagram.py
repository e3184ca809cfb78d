"""The state diagram of docs/session-states.md, drawn from the transition table.

``python -m bng.session.diagram > docs/session-states.md`` writes the page anew; a test compares.
"""

from __future__ import annotations

import sys

from bng.session.states import TABLE, Input, State

_HEAD = """\
# The life of a session

Drawn from the table in `bng/session/states.py`; write it anew with
`python -m bng.session.diagram > docs/session-states.md`.

`pending` is an access line whose DHCP exchange is under way: neither journaled nor visible. `idle` is
`active` without traffic. `terminating` waits for the kernel's final counters. A session that
management ended leaves a tombstone on its access line: renewals do not bring it back, a DISCOVER does.
After an idle or session timeout there is none: the next renewal begins a new session, and a lease that
the server holds begins none before that.

`replaced` is an ACK of another address or to another device of the line, or a move to another line as
`sessions-policy/port-move` has it.

"""


def mermaid() -> str:
    """The diagram: one arrow for each pair of states, with all inputs that lead along it."""
    arrows: dict[tuple[State, State], list[Input]] = {}
    for (state, what), row in TABLE.items():
        arrows.setdefault((state, row.state), []).append(what)
    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING.value}"]
    for source in State:
        for target in State:
            if (source, target) in arrows:
                inputs = sorted(what.value for what in arrows[source, target])
                lines.append(f"    {source.value} --> {target.value}: {', '.join(inputs)}")
    return "\n".join([*lines, f"    {State.GONE.value} --> [*]"])


def table() -> str:
    """The transition table as Markdown."""
    lines = ["| state | input | next | handler |", "|---|---|---|---|"]
    order = list(State), list(Input)
    for (state, what), row in sorted(
        TABLE.items(), key=lambda item: (order[0].index(item[0][0]), order[1].index(item[0][1]))
    ):
        lines.append(f"| {state.value} | {what.value} | {row.state.value} | `{row.handler}` |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return f"{_HEAD}```mermaid\n{mermaid()}\n```\n\n{table()}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
