"""How commands end, and the error for words that mean nothing.

Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NoReturn

from muleteer.cli.screen import Screen
from muleteer.errors import MuleteerError

__all__ = ["Exit", "Misused", "Parser", "exit_code_of"]

Run = Callable[[Sequence[str], Screen], int]


class Exit(IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    """A named task, the directory or the server is not there, or the reload failed."""
    LEFT_ALONE = 2
    """Some of the tasks were left as they are: they run, or the command does not fit them.

    Of a reload: it goes on, and was not waited for any longer.
    """
    MISUSED = 3
    """The words of the command are wrong."""
    TASK_FAILED = 4
    """A task was run and failed."""


class Misused(Exception):
    """The words of the command are wrong."""


class Parser(argparse.ArgumentParser):
    """One that raises instead of leaving: exit codes are ours."""

    def error(self, message: str) -> NoReturn:
        raise Misused(f"{message}; see `{self.prog} --help`")


def exit_code_of(run: Run, arguments: Sequence[str], screen: Screen) -> int:
    """Run a command; what it raises is one line for its reader, and the exit code."""
    try:
        return run(arguments, screen)
    except Misused as error:
        screen.complain(str(error))
        return Exit.MISUSED
    except MuleteerError as error:
        screen.complain(str(error))
        return Exit.FAILED
