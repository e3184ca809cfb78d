"""Comparing the sessions with the leases of the DHCP servers.

`lease` reads what a server tells, `http` asks for it, `places` finds where a lease belongs, `comparison`
decides what differs, `keeper` does it round after round. Nothing that a server says is believed before it was
looked at.
"""
