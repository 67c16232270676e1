"""Promises of `lazy-apps`: each process loads the application for itself, and it is one still."""

from __future__ import annotations

import os
import signal as unix_signals
import time

import pytest
from tests.harness import Server, eventually
from tests.process.playground import Playground, StartServer, play

CODE = """
note("loaded", os.getpid(), uwsgi.worker_id(), uwsgi.mule_id())
LOADED_BY = os.getpid()

@spool
def task(arguments):
    note("task", os.getpid() == LOADED_BY)

@mulefunc
def message():
    note("message", os.getpid() == LOADED_BY)

@timer(1)
def tick(number):
    note("tick", os.getpid() == LOADED_BY)

@signal(17, target="workers")
def handler(number):
    note("signal", os.getpid() == LOADED_BY)

@postfork
def forked():
    note("forked", os.getpid())
"""
LAZY = "lazy-apps = true\nprocesses = 2\nmules = 1\nspooler = spool\n"


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers, a mule and a spooler, each with an application of its own."""
    return play(start_server, CODE, LAZY)


def loaders(yard: Playground) -> dict[int, tuple[int, int]]:
    """Who loaded the application: pid -> its numbers as a worker and as a mule at that time."""
    found = [note.split() for note in yard.notes() if note.startswith("loaded ")]
    return {int(pid): (int(worker), int(mule)) for _, pid, worker, mule in found}


def living(server: Server) -> dict[int, tuple[int, int]]:
    """What each child should have seen of itself."""
    return {
        one.pid: (one.id * (one.role == "worker"), one.id * (one.role == "mule"))
        for role in ("worker", "mule", "spooler")
        for one in server.children(role)
    }


def test_each_process_loads_it_for_itself(yard: Playground) -> None:
    """Knowing its number; the zygote never does, but for one process that looks and ends."""
    children = living(yard.server)
    assert len(children) == 4
    assert children.items() <= loaders(yard).items()
    assert len(loaders(yard)) == 5
    assert not loaders(yard).keys() & yard.server.pids("zygote")


def test_what_it_registers_is_there_once_and_works(yard: Playground) -> None:
    """Tasks, messages, signals to all workers, post-fork hooks; one timer for all of them."""
    yard.ask("task.spool() and None")
    yard.ask("message()")
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("task True", "message True", "signal True", "signal True", "tick True")
    yard.wait_for(*(f"forked {pid}" for pid in living(yard.server)))
    assert yard.server.log.find(r"the clock has: timer\(1\) -> signal \d+ \(app\.tick\)[^,]*$")
    assert not {"task False", "message False", "signal False", "tick False"} & set(yard.notes())


def test_a_timer_is_one_whoever_loads_it(start_server: StartServer) -> None:
    """The third tick of one that is due each second cannot come before three seconds."""
    started = time.monotonic()
    yard = play(start_server, CODE, LAZY)
    yard.wait_for("tick True", "tick True", "tick True", within=20)
    assert time.monotonic() - started >= 3.0


def test_a_child_that_is_replaced_loads_it_again(yard: Playground) -> None:
    """And registers nothing a second time."""
    victim = min(yard.server.pids("worker"))
    os.kill(victim, unix_signals.SIGKILL)
    yard.server.wait_for("respawned worker")
    eventually(lambda: living(yard.server).items() <= loaders(yard).items(), within=15)
    assert len(yard.server.log.find("the application registered")) == 1


def test_a_reload_of_broken_code_keeps_the_old_generation(yard: Playground) -> None:
    """It is found out before anybody is replaced, however the import ends."""
    before = living(yard.server)
    for times, code in enumerate(("1 / 0\n", "import os; os.kill(os.getpid(), 9)\n"), 1):
        yard.server.write({"app.py": code})
        yard.server.send(unix_signals.SIGHUP)
        yard.server.wait_for("reload failed", times=times)
    assert "ZeroDivisionError" in yard.server.log
    assert "killed by SIGKILL" in yard.server.log
    assert living(yard.server) == before
    assert yard.ask("1 + 1") == 2


def test_code_that_does_not_load_is_no_server(start_server: StartServer) -> None:
    """As without it: exit code 22."""
    with pytest.raises(AssertionError, match="exit code 22"):
        play(start_server, "1 / 0", LAZY)
