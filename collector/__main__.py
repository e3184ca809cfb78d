"""`python -m collector run --config FILE`: the verb of the `aether` command, without the rest of it."""

import argparse
import sys

from collector.cli import add_parser

parser = argparse.ArgumentParser(prog="aether")
add_parser(parser.add_subparsers(required=True))
arguments = parser.parse_args(["collector", *sys.argv[1:]])
sys.exit(arguments.func(arguments))
