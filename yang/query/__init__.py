"""What a request asks for: filters become a `Selection`, access control and content prune it to a plan."""

from yang.query.selection import Selection

__all__ = ["Selection"]
