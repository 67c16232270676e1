"""`muleteer reload`: ask a running server for a reload and wait for what becomes of it.

For a deploy: its exit code is 0 when the new code serves, and not 0 when the old one still does.
Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import os
import signal as unix_signals
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from muleteer.cli.asking import add_where, address_of, ask
from muleteer.cli.exits import Exit, Misused, Parser, exit_code_of
from muleteer.cli.screen import Screen
from muleteer.errors import NodeUnreachable

__all__ = ["main", "outcome"]

_LOOK_EVERY_S = 0.1
_PATIENCE_S = 300.0

Picture = Mapping[str, Any]


def main(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run `muleteer reload` with these arguments; returns the exit code."""
    return exit_code_of(_run, arguments, screen or Screen())


def _run(arguments: Sequence[str], screen: Screen) -> int:
    words = _parser().parse_args(arguments)
    if not 0 < words.timeout < 1e6:
        raise Misused(f"--timeout takes seconds above 0, not {words.timeout:g}")
    return _reload(address_of(words.where), words.timeout, screen)


def outcome(before: Picture, now: Picture) -> tuple[Exit, str] | None:
    """What became of a reload asked for after `before`, seen in `now`; None: it goes on."""
    then, ours = before["muleteer"]["reloads"], now["muleteer"]["reloads"]
    if now["pid"] != before["pid"]:
        return Exit.FAILED, "another server answers there now"
    if ours["failed"] > then["failed"]:
        failure = ours["last_failure"]
        serving = now["muleteer"]["generation"]
        return Exit.FAILED, f"{failure['why']}; generation {serving} goes on serving"
    if ours["done"] > then["done"]:
        return Exit.OK, f"generation {now['muleteer']['generation']} serves"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="muleteer reload", description="Reload a server, and wait for the end.")
    add_where(parser)
    parser.add_argument(
        "--timeout",
        type=float,
        default=_PATIENCE_S,
        metavar="SECONDS",
        help="to wait; the reload goes on",
    )
    return parser


def _reload(address: str, timeout_s: float, screen: Screen) -> int:
    before = ask(address)
    _send_reload(int(before["pid"]))
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < end:
        found = outcome(before, ask(address))
        if found is not None:
            code, words = found
            (screen.say if code == Exit.OK else screen.complain)(words)
            return code
        pause.wait(_LOOK_EVERY_S)
    screen.complain(f"not done after {timeout_s:g} s; it goes on: see the log, or muleteer status")
    return Exit.LEFT_ALONE


def _send_reload(pid: int) -> None:
    try:
        os.kill(pid, unix_signals.SIGHUP)
    except ProcessLookupError:
        raise NodeUnreachable(
            f"there is no process {pid} here; run the command on the server's machine"
        ) from None
    except PermissionError:
        raise NodeUnreachable(
            f"process {pid} is another user's; run the command as the server's user"
        ) from None
