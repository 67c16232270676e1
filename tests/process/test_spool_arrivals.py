"""Promises about tasks that appear in a directory: found at once, whoever put them there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

from muleteer.spool.directory import DirectoryStore

SPOOLER = "processes = 1\nspooler = spool\nspooler-frequency = 600\n"

TASKS = """
@spool
def once(task):
    note("once", task["name"], time.time())
"""

DEAF = (
    """
from muleteer.spool import arrivals
arrivals._libc = None  # a system without inotify, or a user who has used his share
"""
    + TASKS
)


def started_at(yard: Playground, name: str) -> float:
    """When the task of that name ran; waits for it."""
    found = eventually(
        lambda: [line for line in yard.notes() if line.startswith(f"once {name} ")],
        within=10,
        what=f"task {name} runs",
    )
    return float(found[0].split()[2])


def put(yard: Playground, name: str, at: float | None = None) -> None:
    """A task put there by a process that is no part of the server."""
    store = DirectoryStore(bytes(yard.folder / "spool"))
    task = {b"ud_spool_func": b"once", b"ud_spool_ret": b"-2", b"name": name.encode()}
    store.put(task, at=at)


def test_a_file_of_someone_else_runs_without_waiting_for_the_frequency(
    start_server: StartServer,
) -> None:
    """Written here, moved in, or in a folder of a priority that appears with it."""
    yard = play(start_server, TASKS, SPOOLER)
    put(yard, "written")
    started_at(yard, "written")
    elsewhere = Path(yard.folder / "elsewhere")
    elsewhere.mkdir()
    path = DirectoryStore(bytes(elsewhere)).put(
        {b"ud_spool_func": b"once", b"ud_spool_ret": b"-2", b"name": b"moved"}
    )
    os.rename(path, os.path.join(os.fsencode(yard.folder / "spool"), os.path.basename(path)))
    started_at(yard, "moved")


def test_a_spooler_that_hears_nothing_of_the_system_is_woken_by_the_server(
    start_server: StartServer,
) -> None:
    """Without inotify an enqueued task starts at once all the same, the next one too."""
    yard = play(start_server, DEAF, SPOOLER)
    for name in ("first", "second", "third"):
        yard.ask(f"once.spool(name={name!r})")
        started_at(yard, name)


def test_a_due_task_starts_at_its_time(start_server: StartServer) -> None:
    """Never before it, and soon after: no frequency, no rescan in between."""
    yard = play(start_server, TASKS, SPOOLER)
    due = time.time() + 0.5
    put(yard, "due", at=due)
    assert 0.0 <= started_at(yard, "due") - due < 5.0
