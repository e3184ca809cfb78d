"""What is wrong with a configuration file, in words for its author."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Problem:
    """One finding.

    Attributes:
        line: line of the file, from 1.
        where: dotted path of the value (``bngs[0].bng-id``), empty for the whole file.
        message: what is wrong and what to change.
    """

    line: int
    where: str
    message: str


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` holds every finding, in the order of the file."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems)
        super().__init__("\n".join(self.describe()))

    def describe(self) -> list[str]:
        """One line of text per problem: ``file:line: path: message``."""
        return [
            f"{self.path}:{problem.line}: {problem.where + ': ' if problem.where else ''}{problem.message}"
            for problem in self.problems
        ]
