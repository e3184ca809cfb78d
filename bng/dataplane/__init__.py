"""The data plane: who may forward, how fast, and what was carried.

The kernel does all of it. `base` says what a data plane must do; `kernel` does it with nftables maps and
HTB classes over raw netlink; `fake` does it in memory for tests; `capture` brings DHCP frames in and out.
"""
