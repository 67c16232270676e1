"""Promises about spoolers that leave: a running task ends, or is put back; none starts twice."""

from __future__ import annotations

import os
import signal as unix_signals
from collections import Counter
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

INI = """
processes = 1
spooler = spool
spooler-frequency = 1
spooler-mercy = 0.3
"""

TASKS = """
@spool
def held(task):
    try:
        hold(task["name"])
        note("ended", task["name"])
    finally:
        note("left", task["name"])

@spool(retries=0)
def last_try(task):
    hold(task["name"])
    note("ended", task["name"])

@spool
async def held_coroutine(task):
    import asyncio
    note("began", task["name"])
    while not os.path.exists(HERE + "/let_" + task["name"]):
        await asyncio.sleep(0.005)
    note("ended", task["name"])

@spool(retries=1, delay=0.05)
def deaf(task):
    while not os.path.exists(HERE + "/let_" + task["name"]):
        try:
            hold(task["name"])
        except BaseException:
            note("shrugged", task["name"])
    note("ended", task["name"])

@spool
def step(task):
    note("step", task["n"], os.getpid())
    time.sleep(0.02)
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """A spooler with a short mercy."""
    return play(start_server, TASKS, INI)


def begun(yard: Playground, name: str, function: str = "held") -> Path:
    """Enqueue a task that is held, and wait until it has begun."""
    path = yard.ask(f"{function}.spool(name={name!r})")
    yard.wait_for(f"began {name}")
    return Path(os.fsdecode(path))


@pytest.mark.parametrize("function", ["held", "held_coroutine", "last_try"])
def test_a_reload_interrupts_a_task_after_its_mercy_and_it_runs_again(
    yard: Playground, function: str
) -> None:
    """It is told, leaves, and runs from its start in the new generation; no try is counted."""
    path = begun(yard, "t", function)
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("did not leave within its mercy of 0.3 s: uwsgi_spoolfile.* interrupted")
    yard.server.wait_for("was interrupted; it will run again from its start")
    yard.wait_for("began t", "began t")
    assert b"muleteer_attempts" not in path.read_bytes()
    yard.let("t")
    yard.wait_for("ended t")
    eventually(lambda: not path.exists(), within=10)
    assert yard.notes().count("began t") == 2
    assert not (path.parent / "dead").exists()
    assert not yard.server.log.find("killed by SIGKILL")


def test_a_stop_interrupts_a_task_after_its_mercy_and_the_next_start_runs_it(
    yard: Playground, start_server: StartServer
) -> None:
    """The server is gone in its mercy; the task is whole, uncounted, and due at once."""
    path = begun(yard, "t")
    yard.server.send(unix_signals.SIGTERM)
    assert yard.server.wait() == 0
    assert yard.notes() == ["began t", "left t"], "its `finally` ran"
    assert b"muleteer_attempts" not in path.read_bytes()
    again = play(start_server, TASKS, f"processes = 1\nspooler = {path.parent}\n")
    again.let("t")
    again.wait_for("began t", "ended t")


def test_a_task_that_does_not_let_go_is_killed_and_that_counts(yard: Playground) -> None:
    """Five seconds after the interrupt; it runs again, with one try less."""
    path = begun(yard, "t", "deaf")
    yard.server.send(unix_signals.SIGHUP)
    yard.wait_for("shrugged t")
    yard.server.wait_for("did not leave within its mercy of 5 s: killed")
    yard.server.wait_for(r"failed \(1 of 2\): the process that ran the task died")
    yard.let("t")
    yard.wait_for("ended t")
    eventually(lambda: not path.exists(), within=10)


def test_a_task_that_ends_in_its_mercy_is_not_interrupted(start_server: StartServer) -> None:
    """The default mercy is a minute: a task that is let go in it ends once."""
    yard = play(start_server, TASKS, INI.replace("spooler-mercy = 0.3\n", ""))
    path = begun(yard, "t")
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("generation 2: loaded")
    yard.let("t")
    yard.server.wait_for("chain reload done")
    eventually(lambda: not path.exists(), within=10)
    assert yard.notes() == ["began t", "ended t", "left t"]


def test_reloads_under_load_start_nothing_twice(start_server: StartServer) -> None:
    """Three reloads while two spoolers work off 120 tasks: each task runs once."""
    ini = INI.replace("0.3", "30") + "spooler-processes = 2\nspooler-quiet = true\n"
    yard = play(start_server, TASKS, ini)
    yard.ask("[step.spool(n=n) for n in range(120)] and None")
    for generation in (2, 3, 4):
        yard.server.send(unix_signals.SIGHUP)
        yard.server.wait_for(f"chain reload done: every child is of generation {generation}")
    eventually(lambda: len(yard.notes()) >= 120, within=20)
    eventually(lambda: yard.ask("uwsgi.spooler_jobs()") == [], within=10)
    seen = Counter(line.split()[1] for line in yard.notes())
    assert seen == {str(n): 1 for n in range(120)}
    assert len({line.split()[2] for line in yard.notes()}) >= 4, "no reload fell into the work"
