"""netconf-commit-one: milliseconds to edit and commit one leaf among 10,000 profiles (`netconf_commit`)."""

from __future__ import annotations

from netconf_commit import main

if __name__ == "__main__":
    main(one=True)
