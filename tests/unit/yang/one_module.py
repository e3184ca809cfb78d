"""A tree with one more module, for tests that need a model of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from yang.provider import Registration
from yang.tree import Tree


async def open_with_module(
    folder: Path, module: str, startup: dict[str, Any], registration: Registration
) -> Tree:
    """Open a tree whose files are in a folder.

    Args:
        module: text of the module.
        startup: configuration, which may have data of it.
    """
    named = re.search(r"module ([\w-]+)", module)
    assert named is not None
    (folder / f"{named[1]}.yang").write_text(module)
    file = folder / "startup.json"
    file.write_text(json.dumps(startup))
    return await Tree.open(registration, folder / "state", file, module_dirs=[folder])
