"""`muleteer status | top | cron ls`: what a running server does, once or again and again.

Not here: how it is asked (asking.py), what the tables say (views.py), the live view (top.py).
Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from muleteer.cli.asking import add_where, address_of, ask
from muleteer.cli.exits import Exit, Misused, Parser, exit_code_of
from muleteer.cli.screen import Screen
from muleteer.cli.top import Top
from muleteer.cli.views import clock_table, show

__all__ = ["COMMANDS", "main"]

COMMANDS = ("status", "top", "cron")


def main(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run one of the commands with these arguments; returns the exit code."""
    return exit_code_of(_run, arguments, screen or Screen())


def _run(arguments: Sequence[str], screen: Screen) -> int:
    words = _parser().parse_args(arguments)
    words.address = address_of(words.where)
    return int(words.command(words, screen))


def _parser() -> Parser:
    parser = Parser(prog="muleteer", description="What a running server does.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="what it is about, and tables of who does what")
    add_where(status)
    status.add_argument("--json", action="store_true", help="all of its stats, as JSON")
    status.set_defaults(command=_status)
    top = commands.add_parser("top", help="the same, live; q leaves")
    add_where(top)
    top.add_argument(
        "--every", type=float, default=1.0, metavar="SECONDS", help="between two looks"
    )
    top.set_defaults(command=_top)
    cron = commands.add_parser("cron", help="cron jobs and cron commands")
    ls = cron.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "ls", help="all of them with their next and last runs"
    )
    add_where(ls)
    ls.add_argument("--timers", action="store_true", help="timers, too")
    ls.add_argument("--json", action="store_true", help="one JSON object a line")
    ls.set_defaults(command=_cron_ls)
    return parser


def _status(words: argparse.Namespace, screen: Screen) -> Exit:
    picture = ask(words.address)
    if words.json:
        screen.say(json.dumps(picture, indent=2))
        return Exit.OK
    show(screen, picture, time.time())
    return Exit.OK


def _top(words: argparse.Namespace, screen: Screen) -> Exit:
    if not 0.1 <= words.every <= 3600:
        raise Misused(f"--every takes 0.1 to 3600 seconds, not {words.every:g}")
    return Top(words.address, words.every, screen).run()


def _cron_ls(words: argparse.Namespace, screen: Screen) -> Exit:
    picture = ask(words.address)
    heads, rows = clock_table(picture, time.time(), is_timer_shown=words.timers)
    if words.json:
        ours = picture["muleteer"]["clock"]
        shown = [shot for shot in ours if words.timers or shot["kind"] != "timer"]
        for entry in (*shown, *picture.get("crons", ())):
            screen.say(json.dumps(entry))
    elif rows:
        screen.table(heads, rows)
    else:
        screen.say("no cron jobs")
    return Exit.OK
