"""Configuration datastores: running and candidate, edits, locks, validation, commits, history.

The only package that touches libyang, and only in its worker thread; no libyang node leaves it.
"""

from yang.datastore.store import Datastores

__all__ = ["Datastores"]
