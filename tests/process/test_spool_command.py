"""`muleteer spool` and the same functions in Python, beside a running server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

APP = """
import muleteer.spool

@spool
def held(task):
    hold(task["name"])
    note("ended", task["name"])

@spool
def once(task):
    note("once", task["name"])
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers and a spooler that looks on its own every 30 s."""
    return play(start_server, APP, "processes = 2\nspooler = spool\n")


def command(yard: Playground, *words: str) -> tuple[int, list[Any]]:
    """Exit code and answer of `muleteer spool … spool --json`."""
    name, *more = words
    done = subprocess.run(
        [sys.executable, "-m", "muleteer", "spool", name, "spool", *more, "--json"],
        cwd=yard.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_running_task_is_shown_and_never_touched(yard: Playground) -> None:
    """rm leaves it alone, ls shows it, status in a worker agrees; then it ends as it would."""
    path = yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    (told,) = command(yard, "ls")[1]
    assert (told["state"], told["function"]) == ("running", "app.held")
    assert command(yard, "rm", os.path.basename(path.decode()))[0] == 2
    assert yard.state_of(path) == "running"
    assert yard.ask(f"muleteer.spool.cancel({path!r})") is False
    yard.let("t")
    yard.wait_for("ended t")
    eventually(lambda: yard.state_of(path) == "gone")


def test_waiting_task_is_cancelled_from_a_worker(yard: Playground) -> None:
    """It never runs, and those around it do."""
    yard.ask("held.spool(name='gate')")
    yard.wait_for("began gate")
    paths = [yard.ask(f"once.spool(name={n})") for n in (1, 2, 3)]
    assert yard.state_of(paths[1]) == "waiting"
    assert yard.ask(f"muleteer.spool.cancel({paths[1].decode()!r})") is True
    yard.let("gate")
    yard.wait_for("once 1", "once 3")
    assert "once 2" not in yard.notes()


def test_retried_task_runs_at_once(yard: Playground) -> None:
    """A delayed one does not wait for the spooler's next look."""
    path = yard.ask("once.spool(name='x', at=4_000_000_000)")
    eventually(lambda: yard.state_of(path) == "delayed")
    assert command(yard, "retry", os.path.basename(path.decode()))[1][0]["retried"] == 1
    yard.wait_for("once x", within=5)


def test_moved_task_runs_at_once(yard: Playground) -> None:
    """A spooler hears of what is moved into its directory."""
    (yard.folder / "away").mkdir()
    yard.ask("once.spool(name='x', at=4_000_000_000)")
    assert command(yard, "move", "--state", "delayed", "--to", str(yard.folder / "away"))[0] == 0
    (file,) = (yard.folder / "away").iterdir()
    os.utime(file, (1, 1))
    done = subprocess.run(
        [sys.executable, "-m", "muleteer", "spool", "move", "away", "*", "--to", "spool"],
        cwd=yard.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "1 moved\n"
    yard.wait_for("once x", within=5)
