"""All that the control and the management process share: the journal of lifecycle events, the read
model that is folded from it, the matrix of counters in shared memory, and the command socket."""
