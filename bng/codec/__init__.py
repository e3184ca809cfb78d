"""Bytes ↔ records: DHCPv4, option 82, Ethernet/IPv4/UDP frames, RADIUS. No I/O, no clock.

Whatever comes from the network either decodes or raises `errors.DecodeError`; nothing else.
"""
