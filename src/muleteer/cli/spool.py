"""`muleteer spool …`: look into a spool directory and steer what lies there; the command's words.

It works on the files, under their locks, so no server has to run; one that runs sees what was
changed at once. A running task is never touched.

Not here: what the commands do (looking.py, steering.py).
Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any

from muleteer.cli import looking, running, steering
from muleteer.cli.exits import Exit, Parser, exit_code_of
from muleteer.cli.screen import Screen
from muleteer.cli.tasks import STATES, home_of

__all__ = ["main"]

_FIRST = 100


def main(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run `muleteer spool` with these arguments; returns the exit code."""
    return exit_code_of(_run, arguments, screen or Screen())


def _run(arguments: Sequence[str], screen: Screen) -> int:
    words = _parser().parse_args(arguments)
    words.home = home_of(words.directory)
    return int(words.command(words, screen))


def _duration(text: str) -> float:
    """`90`, `90s`, `15m`, `12h`, `7d`: seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 90s, 15m, 12h, 7d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _limit(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tasks")
    return int(text)


def _parser() -> Parser:
    parser = Parser(prog="muleteer spool", description=_DESCRIPTION, epilog=_EPILOG)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[Any, Screen], Exit], summary: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=run.__doc__, epilog=_EPILOG)
        made.set_defaults(command=run)
        made.add_argument("directory", metavar="DIR", help="the spool directory")
        made.add_argument("--json", action="store_true", help="for machines")
        return made

    ls = command("ls", looking.ls, "list tasks")
    _add_filters(ls)
    ls.add_argument(
        "--limit", type=_limit, default=_FIRST, metavar="N",
        help=f"at most so many, {_FIRST} unless told; 0: all, in no order",
    )  # fmt: skip
    show = command("show", looking.show, "tell everything about a task")
    show.add_argument("tasks", metavar="TASK", nargs="+", help=_TASK_HELP)
    stats = command("stats", looking.stats, "count tasks")
    stats.add_argument("--function", default="", metavar="NAME", help=_FUNCTION_HELP)
    _add_application(command("run", running.run, "run tasks here and now"))
    for made in (
        command("retry", steering.retry, "bring dead tasks back, let delayed ones run now"),
        command("rm", steering.remove, "remove tasks"),
        mover := command("move", steering.move, "move tasks to another spool directory"),
    ):
        made.add_argument("tasks", metavar="TASK", nargs="*", help=_TASK_HELP)
        _add_filters(made)
        made.add_argument("--dry-run", action="store_true", help="only say what would be done")
    mover.add_argument("--to", required=True, metavar="DIR", help="the other spool directory")
    purge = command("purge", steering.purge, "remove all that is dead or done")
    _add_filters(purge)
    purge.add_argument("--dry-run", action="store_true", help="only say what would be done")
    purge.add_argument("--yes", action="store_true", help="also tasks that have not run yet")
    return parser


def _add_application(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tasks", metavar="TASK", nargs="+", help=_TASK_HELP)
    parser.add_argument(
        "--ini", action="append", default=[], metavar="FILE", help="the server's configuration"
    )
    parser.add_argument("--module", default="", metavar="MODULE", help="the application's module")
    parser.add_argument(
        "--import", dest="modules", action="append", default=[], metavar="MODULE",
        help="a module with the tasks' functions",
    )  # fmt: skip


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", action="append", choices=STATES, help="in this state; more than once: any"
    )
    parser.add_argument("--function", default="", metavar="NAME", help=_FUNCTION_HELP)
    parser.add_argument(
        "--older-than", type=_duration, default=0.0, metavar="TIME",
        help="enqueued, or ended, longer ago than 90s, 15m, 12h, 7d",
    )  # fmt: skip


_TASK_HELP = "a task's name or path, or a pattern with * for names"
_FUNCTION_HELP = "of this function: its name, with as much of its module as you like"
_DESCRIPTION = "Look into a spool directory and steer its tasks, with or without a server."
_EPILOG = (
    "Exit codes: 0 done; 1 no such task, or the directory cannot be used;"
    " 2 some tasks were left alone, because they run or the command does not fit them;"
    " 3 wrong words; 4 a task that was run failed."
)
