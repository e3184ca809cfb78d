"""What the lab's verbs share: options, and errors that are one sentence."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.config import ConfigError
from lab.errors import LabError
from lab.instance import load_instance
from lab.paths import LabPaths

CONFIG_FILE = "aether.config.yaml"

Verb = Callable[[argparse.Namespace], int]


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """``--config FILE``."""
    parser.add_argument(
        "--config",
        type=Path,
        default=None,
        metavar="FILE",
        help=f"the lab's file (default: {CONFIG_FILE} here or in a folder above)",
    )


def add_folder_option(parser: argparse.ArgumentParser) -> None:
    """``--state-dir DIR``."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the lab keeps its state (default: $AETHER_STATE_DIR, or var/lab beside the file)",
    )


def config_path(arguments: argparse.Namespace) -> Path:
    """The configuration file that is meant; raises LabError when there is none."""
    given: Path | None = getattr(arguments, "config", None)
    if given is not None:
        return given.resolve()
    found = _found()
    if found is None:
        raise LabError(f"no {CONFIG_FILE} here or in a folder above; name one with --config")
    return found


def _found() -> Path | None:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_FILE).exists():
            return folder / CONFIG_FILE
    return None


def lab_paths(arguments: argparse.Namespace) -> LabPaths:
    """The state folder that is meant."""
    if arguments.state_dir is not None:
        return LabPaths(arguments.state_dir.resolve())
    if os.environ.get("AETHER_STATE_DIR"):
        return LabPaths(Path(os.environ["AETHER_STATE_DIR"]).resolve())
    base = _found()
    return LabPaths((base.parent if base else Path.cwd()) / "var/lab")


def complete_nodes(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Nodes of the lab that is up (argcomplete)."""
    instance = load_instance(lab_paths(parsed_args))
    return [] if instance is None else [n.removeprefix(f"{instance.name}-") for n in instance.namespaces]


def verb(function: Verb) -> Verb:
    """Turn the errors that users can mend into messages and exit code 1."""

    @functools.wraps(function)
    def wrapped(arguments: argparse.Namespace) -> int:
        try:
            return function(arguments)
        except ConfigError as error:
            for line in error.describe():
                print(line, file=sys.stderr)
        except LabError as error:
            print(f"aether: {error}", file=sys.stderr)
        except PermissionError as error:
            print(f"aether: {error.filename}: {error.strerror}; run it with sudo", file=sys.stderr)
        return 1

    return wrapped
