"""``aether bng …``: the verb and its sub-verbs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bng.verbs import add_verbs


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb ``bng`` to the `aether` command."""
    parser = subparsers.add_parser("bng", help="run a BNG, or look whether this machine can")
    _add_verbs(parser)


def _add_verbs(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    run = verbs.add_parser("run", help="run a BNG: the control and the management process")
    run.add_argument(
        "--config", type=Path, metavar="FILE", help="startup configuration (YANG data: JSON or XML)"
    )
    run.add_argument("--state-dir", type=Path, required=True, metavar="DIR", help="what it keeps")
    run.set_defaults(func=_run)
    doctor = verbs.add_parser("doctor", help="look whether the kernel has what the data plane needs")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument(
        "--interface", action="append", default=[], metavar="NAME", help="look at its offloads as well"
    )
    doctor.set_defaults(func=_doctor)
    add_verbs(verbs)
    for name, text in (("control", "the control process"), ("management", "the management process")):
        child = verbs.add_parser(name, help=f"{text}; started by run")
        child.add_argument("--state-dir", type=Path, required=True, metavar="DIR")
        child.add_argument("--config", type=Path, metavar="FILE")
        child.add_argument("--parent", type=int, metavar="PID", help="end when this process ends")
        child.set_defaults(func=_child, child=name)


def _run(arguments: argparse.Namespace) -> int:
    from bng.daemon import run

    if arguments.config is not None and not arguments.config.is_file():
        print(f"aether bng: there is no file {arguments.config}", file=sys.stderr)
        return 2
    return run.main(arguments.state_dir, arguments.config)


def _child(arguments: argparse.Namespace) -> int:
    from bng.daemon.process import configure_logging, die_with_parent

    configure_logging(arguments.child)
    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    if arguments.child == "control":
        from bng.daemon import control

        return control.main(arguments.state_dir)
    from bng.daemon import management

    return management.main(arguments.state_dir, arguments.config)


def _doctor(arguments: argparse.Namespace) -> int:
    from bng.dataplane.probe import probe

    report = probe(tuple(arguments.interface))
    if arguments.json:
        print(json.dumps(report.as_dict()))
    else:
        print(report)
    return 0 if report.usable else 1


def main(argv: list[str] | None = None) -> int:
    """``python -m bng.cli``: the verb by itself, which is how ``run`` starts its children."""
    parser = argparse.ArgumentParser(prog="aether bng")
    _add_verbs(parser)
    arguments = parser.parse_args(argv)
    code: int = arguments.func(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
