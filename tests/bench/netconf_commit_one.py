"""netconf-commit-one: milliseconds to edit and commit one leaf among 10,000 shaping profiles; see netconf_commit.py."""

from __future__ import annotations

from netconf_commit import main

if __name__ == "__main__":
    main(one=True)
