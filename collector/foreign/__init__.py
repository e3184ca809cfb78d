"""Targets of others: any gNMI server, its values in one table as they come."""
