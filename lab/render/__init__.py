"""From a configuration to the files that its programs read; deterministic, nothing is edited by hand.

``render`` returns texts and touches nothing; ``artefacts`` writes them and shows what would change.
Structured files are built as data and dumped; the languages of Kea, FreeRADIUS and SQL are Jinja2 templates
in ``lab/templates``.
"""

from lab.render.artefacts import Artefact, Change, changes, rendered_digest, write
from lab.render.files import render

__all__ = ["Artefact", "Change", "changes", "render", "rendered_digest", "write"]
