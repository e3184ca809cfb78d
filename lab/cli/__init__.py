"""The ``aether`` command. Verbs come from the entry points ``aether.verbs``; each has a file of its own.

A verb's entry point is ``add_parser(subparsers)``: it adds a parser whose default ``func`` takes the parsed
arguments and returns the exit code.
"""

from lab.cli.main import main

__all__ = ["main"]
