"""`muleteer spool retry | rm | move | purge`: changing what lies in a spool directory.

Runs in: the shell's process.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable

from muleteer.cli.exits import Exit, Misused
from muleteer.cli.screen import Screen
from muleteer.cli.tasks import QUEUED_STATES, STATES, Choice, home_of
from muleteer.errors import SpoolError
from muleteer.spool import steering
from muleteer.spool.looking import QUEUED, Found, Status
from muleteer.spool.steering import Change

__all__ = ["move", "purge", "remove", "retry"]


def retry(words: argparse.Namespace, screen: Screen) -> Exit:
    """Bring dead tasks back, and let delayed ones run now."""
    return _steer(words, screen, _chosen(words, ("dead",)), "retried", steering.retry)


def remove(words: argparse.Namespace, screen: Screen) -> Exit:
    """Remove tasks that are named or chosen."""
    return _steer(words, screen, _chosen(words, STATES), "removed", steering.remove)


def move(words: argparse.Namespace, screen: Screen) -> Exit:
    """Move tasks to another spool directory."""
    target = home_of(words.to)
    choice = _chosen(words, QUEUED_STATES)
    return _steer(words, screen, choice, "moved", lambda found: steering.move(found, target))


def purge(words: argparse.Namespace, screen: Screen) -> Exit:
    """Remove what is dead or done, or all of some state."""
    choice = Choice.of(words, words.state or ("dead", "done"))
    if choice.states & QUEUED and not (words.yes or words.dry_run):
        raise Misused("purge would remove tasks that have not run yet; add --yes if they may go")
    return _steer(words, screen, choice, "removed", steering.remove)


def _steer(
    words: argparse.Namespace,
    screen: Screen,
    choice: Choice,
    done: str,
    step: Callable[[Found], Change],
) -> Exit:
    """Do one thing to each chosen task, and tell what became of them."""
    now = time.time()
    counts = Counter[Change]()
    missing = choice.nameless()
    for name in missing:
        screen.complain(f"no task {name} in {os.fsdecode(choice.home)}")
    for found, status in screen.watched(choice.found(now), done):
        change = Change.DONE if words.dry_run else _one(step, found, screen)
        counts[change] += 1
        _tell(screen, words, found, status, change, done)
    if words.json:
        told = {
            done if change is Change.DONE else change.value: counts[change] for change in Change
        }
        screen.say(json.dumps(told | {"missing": missing, "dry_run": words.dry_run}))
    else:
        screen.say(_summary(counts, done, words.dry_run))
    if missing:
        return Exit.FAILED
    return Exit.LEFT_ALONE if counts[Change.RUNNING] + counts[Change.REFUSED] else Exit.OK


def _one(step: Callable[[Found], Change], found: Found, screen: Screen) -> Change:
    try:
        return step(found)
    except SpoolError as error:
        screen.complain(str(error))
        return Change.REFUSED


def _tell(
    screen: Screen,
    words: argparse.Namespace,
    found: Found,
    status: Status,
    change: Change,
    done: str,
) -> None:
    name = os.fsdecode(found.name)
    if change is Change.RUNNING:
        screen.complain(f"task {name} is running and was left alone")
    elif change is Change.REFUSED:
        screen.complain(f"task {name} is {status.state.value} and was left alone")
    elif words.dry_run and not words.json:
        screen.say(f"{name} would be {done}")


def _summary(counts: Counter[Change], done: str, dry_run: bool) -> str:
    parts = [f"{counts[Change.DONE]:,} {'would be ' if dry_run else ''}{done}"]
    left = {
        Change.RUNNING: "left alone, running",
        Change.REFUSED: "left alone",
        Change.GONE: "ended meanwhile",
    }
    return ", ".join(parts + [f"{counts[c]:,} {words}" for c, words in left.items() if counts[c]])


def _chosen(words: argparse.Namespace, usual: Iterable[str]) -> Choice:
    """The tasks that are meant: named ones in any state, or all of a kind in the usual states."""
    choice = Choice.of(words, words.state or (STATES if words.tasks else usual))
    if not (choice.tasks or choice.function or choice.older_than_s or words.state):
        raise Misused("which tasks? name them, or choose by --state, --function, --older-than")
    return choice
