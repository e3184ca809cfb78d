"""Keeps the lab's programs running: starts them in order, restarts what dies, stops them in reverse.

One supervisor per lab, a process of its own that outlives the shell. It reads ``processes.json`` and writes
``state.json``; both are in the lab's state folder. It ends programs by the process ids that it started.
"""
