"""``aether bench``: run the benchmarks; each prints one JSON line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from lab.cli.common import verb
from lab.errors import LabError

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "bench"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the ``aether`` command."""
    parser = subparsers.add_parser("bench", help="run the benchmarks, one JSON line each")
    parser.add_argument("name", nargs="*", metavar="NAME", help="session-setup, forwarding … (default: all)")
    parser.add_argument("--list", action="store_true", help="only print their names")
    parser.set_defaults(func=run)


def names() -> list[str]:
    """Names of all benchmarks: their files without the ending, with hyphens."""
    programs = [path for path in FOLDER.glob("[a-z]*.py") if "__main__" in path.read_text()]
    return sorted(path.stem.replace("_", "-") for path in programs)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when every benchmark ran."""
    known = names()
    if arguments.list:
        print("\n".join(known))
        return 0
    if not known:
        raise LabError(f"there are no benchmarks in {FOLDER}; run it from a checkout")
    failed = []
    for name in arguments.name or known:
        if name not in known:
            raise LabError(f'there is no benchmark "{name}"; there are: {", ".join(known)}')
        # started as programs, from the folder of the checkout: they may share modules beside them
        environment = os.environ | {"PYTHONPATH": str(FOLDER)}
        script = FOLDER / f"{name.replace('-', '_')}.py"
        if subprocess.run([sys.executable, str(script)], check=False, env=environment).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
